//! `\boxed{...}`: where a solution in MATH's style has its answer.

/// The content of the last `\boxed` or `\fbox` with balanced braces; `\boxed 5` too. None if there is none.
pub fn last_boxed(text: &str) -> Option<&str> {
    let starts = text.match_indices("\\boxed").chain(text.match_indices("\\fbox"));
    let mut starts: Vec<usize> = starts.map(|(at, mark)| at + mark.len()).collect();
    starts.sort_unstable();
    starts.into_iter().rev().find_map(|at| content(&text[at..]))
}

fn content(rest: &str) -> Option<&str> {
    let rest = rest.trim_start();
    let Some(inner) = rest.strip_prefix('{') else {
        // `\boxed 5` and `\boxed5`: up to the end of the word.
        let end = rest.find(|c: char| c.is_whitespace() || "$,;}".contains(c)).unwrap_or(rest.len());
        return Some(&rest[..end])
            .filter(|word| !word.is_empty() && word.starts_with(|c: char| c.is_ascii_alphanumeric()));
    };
    let (mut depth, mut escaped) = (1_u32, false);
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '{' => depth += 1,
            '}' if depth == 1 => return Some(&inner[..at]),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::last_boxed;

    #[test]
    fn the_last_box_that_closes_is_taken_whole() {
        assert_eq!(last_boxed("so \\boxed{1} or \\boxed{\\frac{1}{2}}."), Some("\\frac{1}{2}"));
        assert_eq!(last_boxed("\\fbox{a} $\\boxed 7$"), Some("7"));
        assert_eq!(last_boxed("\\boxed{ \\{1, 2\\} }"), Some(" \\{1, 2\\} "));
        assert_eq!(last_boxed("\\boxed{3} and then \\boxed{4"), Some("3"));
        assert_eq!(last_boxed("no box"), None);
        assert_eq!(last_boxed("\\boxed{}"), Some(""));
    }
}
