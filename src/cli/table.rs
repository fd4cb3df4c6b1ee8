//! Tables for people.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// A table with a head; numbers to the right.
pub fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic).set_header(head);
    let mut numeric = vec![true; head.len()];
    for row in rows {
        for (numeric, cell) in numeric.iter_mut().zip(&row) {
            *numeric &= cell.is_empty() || cell.chars().all(|c| c.is_ascii_digit() || " .,%s-".contains(c));
        }
        table.add_row(row);
    }
    for (at, numeric) in numeric.into_iter().enumerate() {
        if let Some(column) = table.column_mut(at).filter(|_| numeric) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The first line of a text, cut to `width` characters.
pub fn brief(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() > width || text.lines().count() > 1 {
        line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
    } else {
        line.to_owned()
    }
}

/// A whole number with thousands apart.
pub fn number(value: i64) -> String {
    indicatif::HumanCount(value.unsigned_abs()).to_string()
}
