//! Numbers as GSM8K has them: with thousands apart, currency, units, percent signs, fractions.
//!
//! The sign of percent is a unit: 50 % is 50, not a half, as the set's own answers have it.

/// The normal form of the number in an answer, exact: a fraction in lowest terms. None if there is no number, or several
/// that differ.
pub(super) fn canonical(answer: &str) -> Option<String> {
    let mut found = numbers(answer);
    found.dedup();
    match &found[..] {
        [only] => Some(only.clone()),
        _ => None,
    }
}

/// The last number of a text, as it stands there.
pub(super) fn last(text: &str) -> Option<&str> {
    let spans = spans(text);
    spans.last().map(|&(start, end)| &text[start..end])
}

/// The first number of a text, as it stands there.
pub(super) fn first(text: &str) -> Option<&str> {
    spans(text).first().map(|&(start, end)| &text[start..end])
}

fn numbers(text: &str) -> Vec<String> {
    spans(text).into_iter().filter_map(|(start, end)| value(&text[start..end])).collect()
}

/// Where numbers stand: with sign, thousands, decimals, and a fraction's other half.
fn spans(text: &str) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut spans = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let starts = digit(at) || bytes[at] == b'.' && digit(at + 1);
        if !starts {
            at += 1;
            continue;
        }
        let start = at;
        at = number_end(bytes, at);
        // The other half of a fraction: 3/4, but not a date or a path of more parts.
        if bytes.get(at) == Some(&b'/') && digit(at + 1) {
            let end = number_end(bytes, at + 1);
            if bytes.get(end) != Some(&b'/') {
                at = end;
            }
        }
        spans.push((sign_start(text, start), at));
    }
    spans
}

const CURRENCY: [char; 4] = ['$', '€', '£', '\\'];

/// Where a number's sign is, through a currency sign: `-5`, `-$5`, `$-5`. A dash right behind a letter, or behind a digit or a
/// bracket, is no sign but takes away, or makes a range.
fn sign_start(text: &str, start: usize) -> usize {
    let head = text[..start].trim_end_matches(CURRENCY);
    let Some(rest) = head.strip_suffix(['-', '−']) else { return start };
    let binary = rest.ends_with(char::is_alphabetic)
        || rest.trim_end().ends_with(|c: char| c.is_ascii_digit() || ")]}".contains(c));
    if binary { start } else { rest.trim_end_matches(CURRENCY).len() }
}

fn number_end(bytes: &[u8], mut at: usize) -> usize {
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let start = at;
    while digit(at) {
        at += 1;
    }
    // Thousands: groups of exactly three digits behind at most three. `{,}` is LaTeX's.
    if at - start <= 3 {
        loop {
            let skip = if bytes[at..].starts_with(b"{,}") {
                3
            } else if bytes.get(at) == Some(&b',') {
                1
            } else {
                break;
            };
            let group = at + skip;
            if digit(group) && digit(group + 1) && digit(group + 2) && !digit(group + 3) {
                at = group + 3;
            } else {
                break;
            }
        }
    }
    if bytes.get(at) == Some(&b'.') && digit(at + 1) {
        at += 1;
        while digit(at) {
            at += 1;
        }
    }
    at
}

/// The value of a number as written, in lowest terms. Digits beyond what 128 bits hold are left as they stand.
fn value(text: &str) -> Option<String> {
    let negative = text.trim_start_matches(CURRENCY).starts_with(['-', '−']);
    let plain: String =
        text.chars().filter(|c| c.is_ascii_digit() || ".,/".contains(*c)).filter(|c| *c != ',').collect();
    let (top, bottom) = plain.split_once('/').unwrap_or((&plain, "1"));
    let parts = (scaled(top), scaled(bottom));
    let (Some((n, n_scale)), Some((d, d_scale))) = parts else { return Some(plain) };
    let fraction = n.checked_mul(d_scale).zip(d.checked_mul(n_scale));
    let Some((n, d)) = fraction else { return Some(plain) };
    if d == 0 {
        return None;
    }
    let common = gcd(n, d).max(1);
    let (n, d) = (n / common, d / common);
    let sign = if negative && n != 0 { "-" } else { "" };
    Some(if d == 1 { format!("{sign}{n}") } else { format!("{sign}{n}/{d}") })
}

/// Digits without the point, and the power of ten that they are to be divided by.
fn scaled(text: &str) -> Option<(u128, u128)> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
    let decimals = decimals.trim_end_matches('0');
    let scale = 10_u128.checked_pow(u32::try_from(decimals.len()).ok()?)?;
    let digits = format!("{whole}{decimals}");
    Some((if digits.is_empty() { 0 } else { digits.parse().ok()? }, scale))
}

fn gcd(a: u128, b: u128) -> u128 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_read_through_what_stands_around_it() {
        for text in
            ["72", "72.00", "$72", "72 dollars", " 72. ", "**72**", "72%", "+72", "\\$72", "72,", "144/2", "072"]
        {
            assert_eq!(canonical(text).as_deref(), Some("72"), "{text}");
        }
        for text in ["1,234,567", "1234567", "$1,234,567.0", "1{,}234{,}567"] {
            assert_eq!(canonical(text).as_deref(), Some("1234567"), "{text}");
        }
        for text in ["-5", "−5", "-$5", "$-5", "x = -5"] {
            assert_eq!(canonical(text).as_deref(), Some("-5"), "{text}");
        }
        assert_eq!(canonical("0.25"), canonical("1/4"));
        assert_eq!(canonical("-0"), canonical("0"));
    }

    #[test]
    fn what_is_no_single_number_is_none() {
        for text in ["", "none", "5 or 6", "3-4", "1/0", "..."] {
            assert_eq!(canonical(text), None, "{text}");
        }
        assert_eq!(canonical("5 and 5").as_deref(), Some("5"));
        assert_eq!(canonical("12,34"), None);
    }

    #[test]
    fn more_digits_than_a_machine_word_holds_are_compared_as_they_stand() {
        let digits = "9".repeat(60);
        assert_eq!(canonical(&digits), Some(digits.clone()));
    }

    #[test]
    fn the_last_number_of_a_text_is_found_with_its_sign() {
        assert_eq!(last("He has 3 + 4 = 7 apples."), Some("7"));
        assert_eq!(last("so -$1,200.50 is left"), Some("-$1,200.50"));
        assert_eq!(last("10-3"), Some("3"));
        assert_eq!(last("none"), None);
    }
}
