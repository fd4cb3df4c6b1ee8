//! The cluster's password, made from the system's random source and kept in a file that only the owner may read.

use std::fmt::Write;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use secrecy::SecretString;

use super::error::ClusterError;
use super::location::Location;

/// Writes a new password unless an interrupted creation left one.
pub(super) fn create(location: &Location) -> Result<(), ClusterError> {
    if fs::metadata(location.password()).is_ok_and(|m| m.len() > 0) {
        return Ok(());
    }
    let mut text = String::new();
    for byte in random::<24>()? {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    location.owner().write(&location.password(), &text)
}

/// Reads the password of an existing cluster.
pub(super) fn read(location: &Location) -> Result<SecretString, ClusterError> {
    let path = location.password();
    match fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(SecretString::from(text.trim())),
        Ok(_) => Err(ClusterError::NoPassword { path }),
        Err(e) if e.kind() == ErrorKind::NotFound => Err(ClusterError::NoPassword { path }),
        Err(e) => Err(ClusterError::io("read", &path)(e)),
    }
}

/// Bytes of the system's random source.
pub(super) fn random<const N: usize>() -> Result<[u8; N], ClusterError> {
    let source = Path::new("/dev/urandom");
    let mut bytes = [0; N];
    File::open(source).and_then(|mut file| file.read_exact(&mut bytes)).map_err(ClusterError::io("read", source))?;
    Ok(bytes)
}
