//! `inspect`: a pair side by side.

use super::output::outln;
use serde_json::json;

use super::Exit;
use crate::ids::PairId;
use crate::store::Store;
use crate::store::export::PairRow;

/// `codepmp inspect`
pub async fn inspect(store: &Store, id: PairId, as_json: bool) -> anyhow::Result<Exit> {
    let pair = store.pair(id).await?;
    let lineage = store.lineage(id).await?;
    if as_json {
        outln!("{}", json!({ "pair": pair, "lineage": lineage }));
        return Ok(Exit::Done);
    }
    print_side_by_side(&pair);
    outln!("\nLineage");
    for (key, value) in lineage.as_object().into_iter().flatten() {
        if key != "description" && !value.is_null() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            outln!("  {key:<30} {value}");
        }
    }
    Ok(Exit::Done)
}

/// Prints a pair, both sides beside each other.
pub fn print_side_by_side(pair: &PairRow) {
    let width = terminal_width().saturating_sub(5) / 2;
    let of = |text: &Option<String>| text.clone().unwrap_or_else(|| "source".into());
    outln!("{} {}:{}-{} {}", pair.repository, pair.path, pair.start_line, pair.end_line, pair.qualified_name);
    let (licence, split) = (pair.licence.as_deref().unwrap_or("licence not known"), &pair.split);
    outln!("{licence}, {split}, length ratio {:.2}, similarity {:.2}\n", pair.length_ratio, pair.similarity);
    for line in wrap(&pair.prompt, width * 2 + 3) {
        outln!("{line}");
    }
    let valid = |valid| if valid { "parses" } else { "does not parse" };
    outln!();
    let left = format!("chosen, {}, {}", of(&pair.chosen_model), valid(pair.chosen_valid));
    let right = format!("rejected, {}, {}", of(&pair.rejected_model), valid(pair.rejected_valid));
    row(&left, &right, ' ', width);
    outln!("{0}-+-{0}", "-".repeat(width));
    let (chosen, rejected) = (columns(&pair.chosen, width), columns(&pair.rejected, width));
    for (mark, left, right) in align(&chosen, &rejected) {
        row(left, right, mark, width);
    }
}

fn row(left: &str, right: &str, mark: char, width: usize) {
    let padding = " ".repeat(width.saturating_sub(left.chars().count()));
    outln!("{left}{padding} {mark}| {right}");
}

fn terminal_width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    columns.unwrap_or_else(|| usize::from(comfy_table::Table::new().width().unwrap_or(120))).clamp(60, 200)
}

/// Lines of code cut to `width`.
fn columns(code: &str, width: usize) -> Vec<String> {
    code.lines()
        .flat_map(|line| {
            let line = line.replace('\t', "    ");
            let chars: Vec<char> = line.chars().filter(|c| !c.is_control()).collect();
            let pieces: Vec<String> = chars.chunks(width.max(1)).map(|piece| piece.iter().collect()).collect();
            if pieces.is_empty() { vec![String::new()] } else { pieces }
        })
        .collect()
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if !line.is_empty() && line.chars().count() + word.chars().count() + 1 > width {
                lines.push(std::mem::take(&mut line));
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.extend(word.chars().filter(|c| !c.is_control()));
        }
        lines.push(line);
    }
    lines
}

/// Lines of both sides beside each other, `*` where they differ (longest common subsequence).
fn align<'t>(left: &'t [String], right: &'t [String]) -> Vec<(char, &'t str, &'t str)> {
    let mut common = vec![vec![0_u16; right.len() + 1]; left.len() + 1];
    for l in (0..left.len()).rev() {
        for r in (0..right.len()).rev() {
            common[l][r] =
                if left[l] == right[r] { common[l + 1][r + 1] + 1 } else { common[l + 1][r].max(common[l][r + 1]) };
        }
    }
    let (mut l, mut r, mut rows) = (0, 0, Vec::new());
    while l < left.len() || r < right.len() {
        if l < left.len() && r < right.len() && left[l] == right[r] {
            rows.push((' ', left[l].as_str(), right[r].as_str()));
            (l, r) = (l + 1, r + 1);
        } else if l < left.len() && r < right.len() && common[l + 1][r + 1] == common[l][r] {
            rows.push(('*', left[l].as_str(), right[r].as_str()));
            (l, r) = (l + 1, r + 1);
        } else if r == right.len() || l < left.len() && common[l + 1][r] >= common[l][r + 1] {
            rows.push(('*', left[l].as_str(), ""));
            l += 1;
        } else {
            rows.push(('*', "", right[r].as_str()));
            r += 1;
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_lines_stand_beside_each_other_and_are_marked() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let (left, right) = (lines("a b c d"), lines("a x c"));
        let rows = align(&left, &right);
        assert_eq!(rows, [(' ', "a", "a"), ('*', "b", "x"), (' ', "c", "c"), ('*', "d", "")]);
    }
}
