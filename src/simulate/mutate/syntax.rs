//! Code that does not even parse: what small models write now and then.

use crate::simulate::dice::Dice;

/// Loses a bracket or a colon, or breaks off in the middle of a line.
pub(super) fn broken(code: &str, dice: &mut Dice) -> String {
    let places = |wanted: &str| -> Vec<usize> { code.match_indices(wanted).map(|(at, _)| at).collect() };
    let kind = dice.below(4);
    let found = match kind {
        0 => places(")\n"),
        1 => places(":\n"),
        2 => places(" = "),
        _ => Vec::new(),
    };
    match (kind, dice.pick(&found)) {
        (0 | 1, Some(at)) => format!("{}{}", &code[..*at], &code[at + 1..]),
        (2, Some(at)) => format!("{} = = {}", &code[..*at], &code[at + 3..]),
        _ => {
            // In the middle of the last line that opens no docstring and holds more than a word.
            let body = code.trim_end();
            let end = body.rfind([' ', '(', '[']).unwrap_or(body.len());
            format!("{} (", body[..end].trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::CODE;
    use super::*;
    use crate::python::{Parser, syntax_fault};

    #[test]
    fn broken_code_does_not_parse() {
        let mut parser = Parser::new();
        for n in 0..60u32 {
            let code = broken(CODE, &mut Dice::of(&[&n.to_le_bytes()]));
            assert!(syntax_fault(&mut parser, &code).is_some(), "{code}");
        }
    }
}
