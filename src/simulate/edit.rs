//! Changes to a text by byte range, gathered first and applied together.

/// One replacement; an insertion where both ends are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Edit {
    pub start: usize,
    pub end: usize,
    pub text: String,
}

impl Edit {
    pub(super) fn replace(range: std::ops::Range<usize>, text: impl Into<String>) -> Self {
        Self { start: range.start, end: range.end, text: text.into() }
    }

    pub(super) fn insert(at: usize, text: impl Into<String>) -> Self {
        Self { start: at, end: at, text: text.into() }
    }

    pub(super) fn delete(range: std::ops::Range<usize>) -> Self {
        Self { start: range.start, end: range.end, text: String::new() }
    }

    fn touches(&self, other: &Self) -> bool {
        self.start <= other.end && other.start <= self.end
    }
}

/// Edits that do not touch each other.
#[derive(Clone, Debug, Default)]
pub(super) struct Edits(Vec<Edit>);

impl Edits {
    /// Takes all of `edits`, or none if one changes nothing or touches one that is already here.
    pub(super) fn take(&mut self, source: &str, edits: Vec<Edit>) -> bool {
        let sound = |edit: &Edit| {
            source.get(edit.start..edit.end).is_some_and(|old| old != edit.text)
                && !self.0.iter().any(|other| other.touches(edit))
        };
        let taken = !edits.is_empty() && edits.iter().all(sound);
        if taken {
            self.0.extend(edits);
        }
        taken
    }

    pub(super) fn apply(mut self, source: &str) -> String {
        self.0.sort_by_key(|edit| edit.start);
        let mut out = String::with_capacity(source.len() + 64);
        let mut at = 0;
        for edit in &self.0 {
            out.push_str(&source[at..edit.start]);
            out.push_str(&edit.text);
            at = edit.end;
        }
        out.push_str(&source[at..]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_applied_in_place_whatever_their_order() {
        let mut edits = Edits::default();
        assert!(edits.take("abcdef", vec![Edit::replace(4..5, "E")]));
        assert!(edits.take("abcdef", vec![Edit::delete(0..1), Edit::insert(2, "-")]));
        assert_eq!(edits.apply("abcdef"), "b-cdEf");
    }

    #[test]
    fn edits_that_touch_or_change_nothing_are_refused_as_a_whole() {
        let mut edits = Edits::default();
        assert!(edits.take("abcdef", vec![Edit::replace(1..3, "x")]));
        assert!(!edits.take("abcdef", vec![Edit::delete(5..6), Edit::insert(3, "y")]));
        assert!(!edits.take("abcdef", vec![Edit::replace(5..6, "f")]));
        assert!(!edits.take("abcdef", Vec::new()));
        assert_eq!(edits.apply("abcdef"), "axdef");
    }
}
