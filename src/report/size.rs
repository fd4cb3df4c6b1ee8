//! Numbers as people read them.

/// A whole number with thousands apart.
pub fn thousands(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if value < 0 {
        text.push('\u{2212}');
    }
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A large number in short: 950, 18.7k, 1.3M, 19B.
pub fn short(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        size if size >= 1e9 => (value / 1e9, "B"),
        size if size >= 1e6 => (value / 1e6, "M"),
        size if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let digits = usize::from(scaled.abs() < 100.0 && scaled.fract().abs() > 1e-9);
    format!("{scaled:.digits$}{unit}")
}

/// Seconds as people say them.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..120 => format!("{whole} s"),
        120..7200 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_readable() {
        assert_eq!([0, 999, 1000, -1_234_567].map(thousands), ["0", "999", "1,000", "\u{2212}1,234,567"]);
        assert_eq!([0.0, 950.0, 18_700.0, 1.3e6, 1.9e10].map(short), ["0", "950", "18.7k", "1.3M", "19B"]);
        assert_eq!([0.25, 61.0, 205.0, 7300.0].map(duration), ["0.2 s", "61 s", "3 min 25 s", "2 h 1 min"]);
    }
}
