//! The door to the disk for what must not be torn, so that tests can fill it up.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// A file that is being written.
pub trait DiskFile: Write {
    /// Waits until everything written is on disk.
    ///
    /// # Errors
    /// When it cannot be written, such as on a full disk.
    fn sync(&mut self) -> io::Result<()>;
}

/// Where files are made.
pub trait Disk {
    /// Makes a file, or empties it.
    ///
    /// # Errors
    /// When that is not possible.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
}

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct LocalDisk;

impl Disk for LocalDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(BufWriter::with_capacity(1 << 20, File::create(path)?)))
    }
}

impl DiskFile for BufWriter<File> {
    fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        self.get_ref().sync_all()
    }
}

/// Puts a folder's names on disk, after files in it were made or renamed.
///
/// # Errors
/// When that is not possible.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    // A relative name without a parent is in the current folder.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    File::open(folder)?.sync_all()
}

/// Removes a folder with what is in it; that it is not there is fine.
///
/// # Errors
/// When something in it cannot be removed.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A disk that is full after so many bytes.
#[cfg(test)]
pub(crate) struct FullAfter(pub std::cell::Cell<u64>, pub std::rc::Rc<std::cell::Cell<u64>>);

#[cfg(test)]
impl FullAfter {
    /// A disk with room for `bytes`.
    pub(crate) fn new(bytes: u64) -> Self {
        Self(std::cell::Cell::new(0), std::rc::Rc::new(std::cell::Cell::new(bytes)))
    }
}

#[cfg(test)]
struct Limited(BufWriter<File>, std::rc::Rc<std::cell::Cell<u64>>);

#[cfg(test)]
impl Disk for FullAfter {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.0.set(self.0.get() + 1);
        Ok(Box::new(Limited(BufWriter::new(File::create(path)?), std::rc::Rc::clone(&self.1))))
    }
}

#[cfg(test)]
impl Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match (self.1.get() as usize).min(bytes.len()) {
            0 if !bytes.is_empty() => Err(io::ErrorKind::StorageFull.into()),
            room => {
                self.1.set(self.1.get() - room as u64);
                self.0.write_all(&bytes[..room])?;
                Ok(room)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
impl DiskFile for Limited {
    fn sync(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
