//! Python out of the archives of a folder, and chance that is the same every time.

use std::collections::HashSet;
use std::error::Error;
use std::io::Read;
use std::path::{Path, PathBuf};

/// SplitMix64: small, and the same in every version.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let x = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((u128::from(x ^ (x >> 31)) * bound as u128) >> 64) as usize
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

/// The distinct Python files of 200 bytes to 1 MB in the archives of a folder, in order of their names.
pub fn read_folder(folder: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    let mut archives: Vec<PathBuf> =
        std::fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    archives.sort();
    let mut files: Vec<(String, Vec<u8>)> = Vec::new();
    for archive in archives {
        let extension = archive.extension().and_then(|extension| extension.to_str());
        let start = files.len();
        if matches!(extension, Some("whl" | "zip")) {
            let mut members = zip::ZipArchive::new(std::fs::File::open(&archive)?)?;
            for at in 0..members.len() {
                let mut entry = members.by_index(at)?;
                take(entry.name()?.into_owned(), &mut entry, &mut files)?;
            }
        } else if extension == Some("gz") {
            let file = flate2::read::GzDecoder::new(std::fs::File::open(&archive)?);
            for entry in tar::Archive::new(file).entries()? {
                let mut entry = entry?;
                take(entry.path()?.to_string_lossy().into_owned(), &mut entry, &mut files)?;
            }
        }
        files[start..].sort();
    }
    let mut seen = HashSet::new();
    let texts = files.into_iter().filter_map(|(_, bytes)| String::from_utf8(bytes).ok());
    Ok(texts.filter(|text| (200..=1_000_000).contains(&text.len()) && seen.insert(text.clone())).collect())
}

fn take(name: String, entry: &mut impl Read, files: &mut Vec<(String, Vec<u8>)>) -> std::io::Result<()> {
    if Path::new(&name).extension().is_some_and(|extension| extension == "py") {
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        files.push((name, bytes));
    }
    Ok(())
}
