//! What the server says about its own limits: `x-ratelimit-limit-*`, `-remaining-*` and `-reset-*`, of requests and tokens.
//!
//! The headers of an answer tell what the server's bucket held when the request came in, and when it will be full again. From
//! that follows what it holds now: what it held, less what was sent since, and what has flowed in since at
//! `(limit - remaining) / reset`. A call that would find the bucket empty waits here instead of being sent away with a 429.
//! Servers that do not refill steadily but at the reset alone are met too early by this; their 429 then pauses the account.

use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::HeaderMap;
use tokio::time::Instant;

use super::Units;
use super::retry_after::parse_reset;

/// The longest that a header is believed; after it one call is sent and brings the next one.
const LONGEST: Duration = Duration::from_mins(15);

/// The headers of limit, remaining and reset, and what they count.
type Kind = ([&'static str; 3], fn(Units) -> i64);

/// Kinds of allowance that headers tell of.
const KINDS: [Kind; 2] = [
    (["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"], |units| {
        units.requests
    }),
    (["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"], Units::tokens),
];

/// The server's buckets, as far as its answers tell.
#[derive(Debug, Default)]
pub(super) struct ServerLimits {
    /// All that was ever sent.
    sent: Units,
    buckets: [Option<Bucket>; 2],
}

/// What one answer told.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    /// All that had been sent when the request of that answer was.
    sent: i64,
    at: Instant,
    remaining: f64,
    /// Units that flow in each second; none if all come back at `full`.
    refill: Option<f64>,
    full: Instant,
}

impl Bucket {
    /// How long until it holds `units`.
    fn wait(&self, units: i64, sent: i64, now: Instant) -> Duration {
        if now >= self.full {
            return Duration::ZERO;
        }
        let since = now.duration_since(self.at).as_secs_f64();
        let left = self.remaining - (sent - self.sent) as f64 + since * self.refill.unwrap_or(0.0);
        let missing = units as f64 - left;
        if missing <= 0.0 {
            return Duration::ZERO;
        }
        let rest = self.full - now;
        self.refill.map_or(rest, |refill| rest.min(Duration::from_secs_f64((missing / refill).clamp(0.001, 900.0))))
    }
}

impl ServerLimits {
    /// Whether a call may be sent now; else how long to wait.
    pub(super) fn ready(&self, units: Units, now: Instant) -> Result<(), Duration> {
        let waits = self
            .buckets
            .iter()
            .zip(KINDS)
            .filter_map(|(bucket, (_, kind))| Some(bucket.as_ref()?.wait(kind(units), kind(self.sent), now)));
        match waits.max() {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(()),
        }
    }

    /// Notes that a call is sent; all that has been sent, itself included, to read its answer's headers by.
    pub(super) fn send(&mut self, units: Units) -> Units {
        self.sent += units;
        self.sent
    }

    /// Takes the headers of the answer to a call, with what [`ServerLimits::send`] gave for it.
    pub(super) fn read(&mut self, headers: &HeaderMap, sent: Units, wall: DateTime<Utc>, now: Instant) {
        let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
        let number = |name: &str| text(name)?.parse::<f64>().ok().filter(|number| *number >= 0.0);
        for (bucket, ([limit, remaining, reset], kind)) in self.buckets.iter_mut().zip(KINDS) {
            let Some(remaining) = number(remaining) else { continue };
            // Answers overtake each other: the one to the latest request knows most.
            if bucket.as_ref().is_some_and(|known| known.sent > kind(sent)) {
                continue;
            }
            let reset = text(reset).and_then(|text| parse_reset(text, wall)).unwrap_or_default().min(LONGEST);
            let used = number(limit).map(|limit| limit - remaining).filter(|used| *used > 0.0 && !reset.is_zero());
            *bucket = Some(Bucket {
                sent: kind(sent),
                at: now,
                remaining,
                refill: used.map(|used| used / reset.as_secs_f64()),
                full: now + reset,
            });
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used)]
mod tests {
    use reqwest::header::{HeaderName, HeaderValue};

    use super::*;

    const CALL: Units = Units { requests: 1, input: 60, output: 40 };

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        all.iter().map(header).collect()
    }

    fn told(all: &[(&'static str, &str)]) -> (ServerLimits, Instant) {
        let (mut limits, now) = (ServerLimits::default(), Instant::now());
        let sent = limits.send(CALL);
        limits.read(&headers(all), sent, Utc::now(), now);
        (limits, now)
    }

    const LOW: [(&str, &str); 3] = [
        ("x-ratelimit-limit-requests", "62"),
        ("x-ratelimit-remaining-requests", "2"),
        ("x-ratelimit-reset-requests", "1m0s"),
    ];

    #[tokio::test(start_paused = true)]
    async fn what_remains_is_sent_and_then_only_what_flows_in() {
        let (mut limits, now) = told(&LOW);
        for _ in 0..2 {
            assert_eq!(limits.ready(CALL, now), Ok(()));
            limits.send(CALL);
        }
        // Sixty come back in a minute.
        let wait = limits.ready(CALL, now).unwrap_err();
        assert!((Duration::from_millis(990)..=Duration::from_millis(1010)).contains(&wait), "{wait:?}");
        assert_eq!(limits.ready(CALL, now + wait + Duration::from_millis(1)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_hold_back_a_call_by_its_estimate() {
        let (limits, now) = told(&[
            ("x-ratelimit-limit-tokens", "6000"),
            ("x-ratelimit-remaining-tokens", "0"),
            ("x-ratelimit-reset-tokens", "60s"),
        ]);
        let wait = limits.ready(CALL, now).unwrap_err();
        assert!((Duration::from_millis(990)..=Duration::from_millis(1010)).contains(&wait), "{wait:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_limit_nothing_comes_back_before_the_reset() {
        let (limits, now) = told(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "20s")]);
        assert_eq!(limits.ready(CALL, now), Err(Duration::from_secs(20)));
        assert_eq!(limits.ready(CALL, now + Duration::from_secs(20)), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_to_an_earlier_request_does_not_undo_what_a_later_one_told() {
        let (mut limits, now) = (ServerLimits::default(), Instant::now());
        let (early, late) = (limits.send(CALL), limits.send(CALL));
        limits.read(
            &headers(&[("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "9s")]),
            late,
            Utc::now(),
            now,
        );
        limits.read(
            &headers(&[("x-ratelimit-remaining-requests", "1"), ("x-ratelimit-reset-requests", "9s")]),
            early,
            Utc::now(),
            now,
        );
        assert_eq!(limits.ready(CALL, now), Err(Duration::from_secs(9)));
    }

    #[test]
    fn servers_that_tell_nothing_or_nonsense_hold_nothing_back() {
        for all in [&[][..], &[("x-ratelimit-remaining-requests", "many")], &[("x-ratelimit-remaining-tokens", "-1")]] {
            let (limits, now) = told(all);
            assert_eq!(limits.ready(CALL, now), Ok(()));
        }
        // No reset: nothing is known of how long this is true.
        let (limits, now) = told(&[("x-ratelimit-remaining-requests", "0")]);
        assert_eq!(limits.ready(CALL, now), Ok(()));
    }
}
