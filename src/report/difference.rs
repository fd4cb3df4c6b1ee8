//! Two texts side by side, with what differs between them down to the word.

use std::time::Duration;

use serde::Serialize;
use similar::{Algorithm, ChangeTag, DiffOp, TextDiff};

/// A line of the side-by-side view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// same, changed, left or right (only there).
    pub kind: &'static str,
    /// The left text's line.
    pub left: Option<Side>,
    /// The right text's line.
    pub right: Option<Side>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Side {
    /// Number, from 1.
    pub line: usize,
    /// Its parts.
    pub parts: Vec<Part>,
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Part {
    /// The text.
    pub text: String,
    /// Whether the other side has something else here.
    pub changed: bool,
}

/// Longest that two texts are compared: a page is not worth more. What is not done by then counts as changed.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lines of both texts, equal ones beside each other.
pub fn side_by_side(left: &str, right: &str) -> Vec<Row> {
    let mut config = TextDiff::configure();
    let diff = config.algorithm(Algorithm::Myers).timeout(PATIENCE).diff_lines(left, right);
    let mut rows = Vec::new();
    for op in diff.ops() {
        let (mut lefts, mut rights) = (Vec::new(), Vec::new());
        for change in diff.iter_inline_changes(op) {
            let parts: Vec<Part> = change
                .iter_strings_lossy()
                .map(|(changed, text)| Part { text: text.trim_end_matches(['\n', '\r']).to_owned(), changed })
                .filter(|part| !part.text.is_empty())
                .collect();
            let side = |index: Option<usize>| index.map(|index| Side { line: index + 1, parts: parts.clone() });
            let (left, right) = (side(change.old_index()), side(change.new_index()));
            match change.tag() {
                ChangeTag::Equal => rows.push(Row { kind: "same", left, right }),
                ChangeTag::Delete => lefts.extend(left),
                ChangeTag::Insert => rights.extend(right),
            }
        }
        if matches!(op, DiffOp::Equal { .. }) {
            continue;
        }
        rows.extend(align(lefts, rights));
    }
    rows
}

/// Lines this alike are taken for the same line, changed.
const ALIKE: f64 = 0.5;
/// Lines of a changed block that are looked at; longer blocks are put beside each other as they come.
const MOST: usize = 80;

/// Puts changed lines beside each other so that as much as can be stays alike, in the order of both texts.
fn align(lefts: Vec<Side>, rights: Vec<Side>) -> Vec<Row> {
    let text = |side: &Side| side.parts.iter().map(|part| part.text.trim()).collect::<String>();
    let (l, r): (Vec<String>, Vec<String>) = (lefts.iter().map(text).collect(), rights.iter().map(text).collect());
    let small = l.len() <= MOST && r.len() <= MOST;
    let gain = |i: usize, j: usize| if small { strsim::sorensen_dice(&l[i], &r[j]) - ALIKE } else { 1.0 };
    // The best sum of gains that can be had from line i and line j on.
    let mut best = vec![vec![0.0_f64; r.len() + 1]; l.len() + 1];
    for i in (0..l.len()).rev() {
        for j in (0..r.len()).rev() {
            best[i][j] = (best[i + 1][j + 1] + gain(i, j)).max(best[i + 1][j]).max(best[i][j + 1]);
        }
    }
    let (mut lefts, mut rights) = (lefts.into_iter(), rights.into_iter());
    let (mut i, mut j, mut rows) = (0, 0, Vec::new());
    while i < l.len() || j < r.len() {
        let both = i < l.len() && j < r.len();
        let (kind, take_left, take_right) = if both && best[i][j] <= best[i + 1][j + 1] + gain(i, j) {
            ("changed", true, true)
        } else if j == r.len() || both && best[i][j] <= best[i + 1][j] {
            ("left", true, false)
        } else {
            ("right", false, true)
        };
        (i, j) = (i + usize::from(take_left), j + usize::from(take_right));
        let left = if take_left { lefts.next() } else { None };
        let right = if take_right { rights.next() } else { None };
        rows.push(Row { kind, left, right });
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(side: Option<&Side>) -> String {
        side.map(|side| side.parts.iter().map(|part| part.text.as_str()).collect()).unwrap_or_default()
    }

    #[test]
    fn changed_lines_stand_beside_each_other_with_the_changed_words_marked() {
        let rows = side_by_side("def f(x):\n    return x + 1\n", "def f(x):\n    return x - 1\n    pass\n");
        let kinds: Vec<_> = rows.iter().map(|row| row.kind).collect();
        assert_eq!(kinds, ["same", "changed", "right"]);
        let changed: Vec<&str> = (rows[1].left.iter())
            .flat_map(|side| &side.parts)
            .filter(|part| part.changed)
            .map(|part| part.text.trim())
            .collect();
        assert_eq!(changed, ["+"]);
        assert_eq!(text(rows[1].right.as_ref()), "    return x - 1");
    }

    #[test]
    fn every_line_of_both_texts_is_shown_once_and_in_order() {
        let (left, right) = ("a\nb\nc\nd", "x\nb\nd\ne\nf\n");
        let rows = side_by_side(left, right);
        let lines =
            |of: fn(&Row) -> Option<&Side>| rows.iter().filter_map(of).map(|side| text(Some(side))).collect::<Vec<_>>();
        assert_eq!(lines(|row| row.left.as_ref()), ["a", "b", "c", "d"]);
        assert_eq!(lines(|row| row.right.as_ref()), ["x", "b", "d", "e", "f"]);
    }

    #[test]
    fn a_changed_line_stands_beside_its_like_and_not_beside_one_that_was_put_in_before_it() {
        let rows = side_by_side(
            "if len(items) > 1:\n    root = 1\n",
            "\"\"\"Words.\"\"\"\nif len(items) >= 1:\n    root = 1\n",
        );
        assert_eq!(rows.iter().map(|row| row.kind).collect::<Vec<_>>(), ["right", "changed", "same"]);
        assert_eq!(text(rows[1].right.as_ref()), "if len(items) >= 1:");
    }
}
