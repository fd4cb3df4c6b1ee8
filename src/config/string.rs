//! Where the characters of a TOML string stand in the file, whatever quotes and escapes it is written with.

/// The byte of the file at which byte `offset` of the string's value is written. `literal` is the string as it stands
/// in the file, quotes included, and begins at byte `start`; it has been parsed before, so that it is well formed.
pub(super) fn place_in(literal: &str, start: usize, offset: usize) -> usize {
    let quote = if literal.starts_with('\'') { "'" } else { "\"" };
    let several = literal.len() >= 6 && literal.starts_with(&quote.repeat(3));
    let mut at = if several { 3 } else { 1 };
    if several {
        // A line end right behind the quotes is not part of the value.
        at += ["\r\n", "\n"].iter().find(|end| literal[at..].starts_with(**end)).map_or(0, |end| end.len());
    }
    let mut value = 0;
    while let Some(char) = literal.get(at..).and_then(|rest| rest.chars().next()) {
        let (written, means) = match char {
            '\\' if quote == "\"" => escape(&literal[at..]),
            char => (char.len_utf8(), char.len_utf8()),
        };
        if value + means > offset {
            break;
        }
        at += written;
        value += means;
    }
    start + at.min(literal.len())
}

/// How many bytes the escape at the start of `rest` takes in the file, and in the value.
fn escape(rest: &str) -> (usize, usize) {
    let digits = match rest.as_bytes().get(1) {
        Some(b'x') => 2,
        Some(b'u') => 4,
        Some(b'U') => 8,
        // A line end that is escaped is left out, with all white space behind it.
        Some(b' ' | b'\t' | b'\r' | b'\n') => return (1 + rest[1..].len() - rest[1..].trim_start().len(), 0),
        _ => return (2, 1),
    };
    let code = rest.get(2..2 + digits).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    (2 + digits, code.and_then(char::from_u32).map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::place_in;

    /// What the file has from the place of the first `x` of the value on.
    fn at_x(literal: &str) -> &str {
        let file = format!("a = {literal}");
        let table: toml::Table = file.parse().expect(literal);
        let value = table["a"].as_str().expect(literal);
        let place = place_in(literal, 0, value.find('x').expect(literal));
        &literal[place..]
    }

    #[test]
    fn every_way_to_write_a_string_is_followed() {
        for literal in [
            "\"x1\"",
            "'a x1'",
            "\"ü \\\" \\\\ \\n \\u00fc \\U0001F600 x1\"",
            "\"\"\"\nfirst\nx1\"\"\"",
            "\"\"\"first \\\n   \n  second x1\"\"\"",
            "'''\n\\u00fc\nx1'''",
            "\"\"\"\r\na \"\" x1\"\"\"",
        ] {
            assert!(at_x(literal).starts_with("x1"), "{literal}: {}", at_x(literal));
        }
    }

    #[test]
    fn a_place_behind_the_value_is_its_end() {
        assert_eq!(place_in("\"ab\"", 10, 99), 14);
    }
}
