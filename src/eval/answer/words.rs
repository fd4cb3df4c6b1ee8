//! Answers in words: up to case, spacing, and the punctuation at their ends.

/// The normal form; none for nothing but spaces and punctuation.
pub(super) fn canonical(answer: &str) -> Option<String> {
    let lower = answer.to_lowercase();
    let joined = lower.split_whitespace().collect::<Vec<_>>().join(" ");
    let ends = |c: char| c.is_whitespace() || ".,;:!?\"'`*$".contains(c);
    let trimmed = joined.trim_matches(ends);
    (!trimmed.is_empty()).then(|| trimmed.to_owned())
}

#[cfg(test)]
mod tests {
    use super::canonical;

    #[test]
    fn case_spacing_and_punctuation_at_the_ends_do_not_count() {
        assert_eq!(canonical("  Monday.\n"), Some("monday".into()));
        assert_eq!(canonical("\"New   York\""), Some("new york".into()));
        assert_eq!(canonical(" . "), None);
        assert_ne!(canonical("May 1"), canonical("May 2"));
    }
}
