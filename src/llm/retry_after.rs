//! How long a server asks to wait: `retry-after-ms`, `retry-after` (seconds or a date), else the resets of `x-ratelimit-*`.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{HeaderMap, RETRY_AFTER};

/// The longest wait that is believed; a server that asks for more is asked again after this.
const LONGEST: Duration = Duration::from_mins(15);

/// Kinds of allowance in `x-ratelimit-remaining-KIND` and `x-ratelimit-reset-KIND`; the plain form comes last.
const KINDS: [&str; 3] = ["-requests", "-tokens", ""];

/// How long the server asks to wait from `now`, at most 15 minutes; `resets` says whether `x-ratelimit-reset-*` count, as
/// they do on a 429.
pub(super) fn retry_after(headers: &HeaderMap, now: DateTime<Utc>, resets: bool) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let millis = || seconds(text("retry-after-ms")?.parse::<f64>().ok()? / 1000.0);
    let wait = || {
        let value = text(RETRY_AFTER.as_str())?;
        value
            .parse()
            .ok()
            .and_then(seconds)
            .or_else(|| Some(until(DateTime::parse_from_rfc2822(value).ok()?.to_utc(), now)))
    };
    let reset = || if resets { exhausted_reset(&text, now) } else { None };
    millis().or_else(wait).or_else(reset).map(|wait| wait.min(LONGEST))
}

/// The latest reset of the allowances that are used up; where no remainders are told, of any.
fn exhausted_reset<'h>(text: &impl Fn(&str) -> Option<&'h str>, now: DateTime<Utc>) -> Option<Duration> {
    let reset = |kind: &&str| parse_reset(text(&format!("x-ratelimit-reset{kind}"))?, now);
    let remaining = |kind: &&str| text(&format!("x-ratelimit-remaining{kind}"))?.parse::<f64>().ok();
    let exhausted = KINDS.iter().filter(|kind| remaining(kind).is_some_and(|left| left < 1.0)).filter_map(reset).max();
    let untold = || KINDS.iter().filter(|kind| remaining(kind).is_none()).filter_map(reset).min();
    exhausted.or_else(untold)
}

/// `1.5` seconds, `6m0s`, `20ms`, or a Unix time in seconds or milliseconds.
pub(super) fn parse_reset(text: &str, now: DateTime<Utc>) -> Option<Duration> {
    match text.parse::<f64>() {
        Ok(number) if number >= 1e12 => Some(until(DateTime::from_timestamp_millis(number as i64)?, now)),
        Ok(number) if number >= 1e9 => Some(until(DateTime::from_timestamp_millis((number * 1000.0) as i64)?, now)),
        Ok(number) => seconds(number),
        Err(_) => parse_units(text),
    }
}

/// A sum of numbers with units, as in `1h2m3.5s`.
fn parse_units(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let (number, tail) = rest.split_at(rest.find(|char: char| char.is_ascii_alphabetic())?);
        let (unit, tail) = tail.split_at(tail.find(|char: char| !char.is_ascii_alphabetic()).unwrap_or(tail.len()));
        let scale = match unit {
            "ms" => 0.001,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            "d" => 86400.0,
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * scale;
        rest = tail;
    }
    (!text.is_empty()).then(|| seconds(total)).flatten()
}

/// A wait of so many seconds, bounded before it is converted; none if it is negative or not a number.
fn seconds(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())))
}

/// The time left until `then`, zero if it has passed.
fn until(then: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (then - now).to_std().unwrap_or_default()
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    fn read(headers: &[(&'static str, &str)]) -> Option<f64> {
        let now = DateTime::parse_from_rfc3339("2026-01-01T00:00:00Z").unwrap().to_utc();
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap()));
        retry_after(&headers.collect(), now, true).map(|wait| wait.as_secs_f64())
    }

    #[test]
    fn seconds_milliseconds_and_dates_are_read() {
        assert_eq!(read(&[("retry-after", "20")]), Some(20.0));
        assert_eq!(read(&[("retry-after", "0.25")]), Some(0.25));
        assert_eq!(read(&[("retry-after", "Thu, 01 Jan 2026 00:00:07 GMT")]), Some(7.0));
        assert_eq!(read(&[("retry-after", "Wed, 31 Dec 2025 00:00:00 GMT")]), Some(0.0));
        assert_eq!(read(&[("retry-after", "1"), ("retry-after-ms", "120")]), Some(0.12));
    }

    #[test]
    fn nonsense_is_no_wait_and_long_waits_are_capped() {
        for text in ["", "soon", "-3", "nan"] {
            assert_eq!(read(&[("retry-after", text)]), None, "{text}");
        }
        for text in ["1e300", "999999999", "inf", "Thu, 01 Jan 2099 00:00:00 GMT"] {
            assert_eq!(read(&[("retry-after", text)]), Some(900.0), "{text}");
        }
        assert_eq!(read(&[]), None);
    }

    #[test]
    fn the_reset_of_the_allowance_that_is_used_up_counts() {
        let both = [
            ("x-ratelimit-remaining-requests", "12"),
            ("x-ratelimit-reset-requests", "1s"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "1m2.5s"),
        ];
        assert_eq!(read(&both), Some(62.5));
        assert_eq!(read(&both[..2]), None);
        assert_eq!(read(&[("x-ratelimit-reset-tokens", "20ms")]), Some(0.02));
        assert_eq!(read(&[("x-ratelimit-reset", "1767225605")]), Some(5.0));
        assert_eq!(read(&[("x-ratelimit-reset", "1767225605500")]), Some(5.5));
        assert_eq!(read(&[("x-ratelimit-reset", "9")]), Some(9.0));
        assert_eq!(read(&[("x-ratelimit-reset", "9 parsecs")]), None);
    }

    #[test]
    fn resets_count_only_where_the_caller_says_so() {
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static("x-ratelimit-reset"), HeaderValue::from_static("9"))]);
        assert_eq!(retry_after(&headers, Utc::now(), false), None);
    }
}
