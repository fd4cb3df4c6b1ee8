//! The card of an exported data set, beside its files.

use std::path::Path;

use anyhow::Context as _;

use super::{CARD, ExportFormat};
use crate::ids::StageId;
use crate::report::{CardFacts, DatasetFile, card, judges};
use crate::store::Store;
use crate::store::quality::ShareOf;

/// Columns of the files, with their types as `datasets` names them; a test holds them against a file.
const FEATURES: [(&str, &str); 26] = [
    ("id", "int64"),
    ("prompt", "string"),
    ("chosen", "string"),
    ("rejected", "string"),
    ("split", "string"),
    ("chosen_model", "string"),
    ("rejected_model", "string"),
    ("description_model", "string"),
    ("chosen_valid", "bool"),
    ("rejected_valid", "bool"),
    ("length_ratio", "float32"),
    ("similarity", "float32"),
    ("repository", "string"),
    ("revision", "string"),
    ("path", "string"),
    ("licence", "string"),
    ("unit", "string"),
    ("qualified_name", "string"),
    ("start_line", "int32"),
    ("end_line", "int32"),
    ("sample", "int32"),
    ("description_id", "int64"),
    ("chosen_id", "int64"),
    ("rejected_id", "int64"),
    ("snippet_id", "int64"),
    ("document_id", "int64"),
];

/// Writes the card of the files that are in `out`.
///
/// # Errors
/// When the folder cannot be written or the database fails.
pub(super) async fn write(
    store: &Store,
    stage: StageId,
    format: ExportFormat,
    rows: [u64; 2],
    out: &Path,
) -> anyhow::Result<()> {
    let mut files = Vec::new();
    for (split, rows) in ["train", "test"].into_iter().zip(rows) {
        let name = format.file(split);
        let path = out.join(&name);
        let bytes = std::fs::metadata(&path).with_context(|| format!("looking at {}", path.display()))?.len();
        files.push(DatasetFile { split, name, rows, bytes });
    }
    let (name, fingerprint) = store.stage_name(stage).await?;
    let marking = store.marking_stages(stage).await?;
    let contamination = if marking.is_empty() {
        None
    } else {
        let sets = store.contamination_sets(&marking).await?.into_iter().map(|set| set.name).collect();
        Some((sets, store.contaminated(stage, &marking).await?.len() as u64))
    };
    let facts = CardFacts {
        name,
        fingerprint,
        files,
        features: FEATURES.to_vec(),
        counts: store.pair_counts(stage).await?,
        licences: store.pair_shares(stage, ShareOf::Licence).await?,
        repositories: store.pair_shares(stage, ShareOf::Repository).await?,
        models: store.pair_shares(stage, ShareOf::Models).await?,
        describers: store.pair_shares(stage, ShareOf::Describer).await?,
        contamination,
        judges: judges(store, stage, None).await?,
    };
    let (path, partial) = (out.join(CARD), out.join("README.md.partial"));
    let written = std::fs::write(&partial, card(&facts)).and_then(|()| std::fs::rename(&partial, &path));
    written.with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::Columns;
    use super::*;
    use crate::store::export::PairRow;

    #[test]
    fn the_card_names_the_columns_of_the_files() {
        let columns: Vec<&str> = <PairRow as Columns>::SCHEMA
            .lines()
            .filter_map(|line| line.trim().strip_suffix(';'))
            .map(|line| line.trim_end_matches(" (UTF8)").rsplit(' ').next().unwrap())
            .collect();
        assert_eq!(columns, FEATURES.map(|(name, _)| name));
    }
}
