//! A disk that is full: the run says which and ends, and after some space was freed the next one goes on.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::corpus;
use crate::model::{ModelServer, well};
use crate::site::{Site, finish, pipeline};

/// A small file system of its own; gone when dropped.
struct Disk {
    place: PathBuf,
}

impl Disk {
    /// `None`, with the reason printed, where this user may not mount.
    fn mount(place: &Path, megabytes: u32) -> Option<Self> {
        std::fs::create_dir_all(place).unwrap();
        let mut command = std::process::Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &format!("size={megabytes}m"), "codepmp-test"]).arg(place);
        match command.stderr(Stdio::piped()).output() {
            Ok(output) if output.status.success() => Some(Self { place: place.to_owned() }),
            Ok(output) => {
                eprintln!("no small disk: mount says {}", String::from_utf8_lossy(&output.stderr).trim());
                None
            }
            Err(error) => {
                eprintln!("no small disk: mount cannot be run: {error}");
                None
            }
        }
    }

    /// Fills it but for `room` bytes, with a file that is to be removed again.
    fn fill(&self, room: u64) -> PathBuf {
        let free = nix::sys::statvfs::statvfs(&self.place).unwrap();
        let free = free.blocks_available() as u64 * free.fragment_size() as u64;
        let ballast = self.place.join("ballast");
        std::fs::write(&ballast, vec![1; free.saturating_sub(room) as usize]).unwrap();
        ballast
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a server may be about to leave it.
        let _ = std::process::Command::new("umount").arg("--lazy").arg(&self.place).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_finds_the_disk_full_says_so_and_the_next_run_writes_it() {
    let server = ModelServer::start(Duration::from_millis(1), well).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 12);
    site.write("pipeline.toml", pipeline(&server.url, 8));
    let disk = Disk::mount(&site.path("out"), 1);
    let ballast = disk.as_ref().map(|disk| disk.fill(8192));
    let ended = if disk.is_some() {
        site.run(&["run", "pipeline.toml"]).await.with(1)
    } else {
        // Where nothing may be mounted, a limit on the size of files fails in the same place. Blocks of 512 bytes.
        let mut command = Command::new("sh");
        let program = site.command(&["run", "pipeline.toml"]);
        let program = program.as_std();
        command.args(["-c", "trap '' XFSZ; ulimit -f 16; exec \"$@\"", "sh"]).arg(program.get_program());
        command.args(program.get_args()).current_dir(site.path(""));
        command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        finish(command.spawn().unwrap()).await.with(1)
    };
    let reason = if disk.is_some() { "No space left on device" } else { "File too large" };
    assert!(ended.stderr.contains("export") && ended.stderr.contains(".jsonl"), "{ended:?}");
    assert!(ended.stderr.contains(reason), "{ended:?}");
    for split in ["train", "test"] {
        assert!(!site.path(&format!("out/{split}.jsonl")).exists(), "half a file has the name of a whole one");
    }

    let (requests, pairs) = (server.requests(), site.number("select count(*) from pairs").await);
    if let Some(ballast) = ballast {
        std::fs::remove_file(ballast).unwrap();
    }
    site.run(&["run", "pipeline.toml"]).await.with(0);
    assert_eq!(server.requests(), requests);
    let lines = |split: &str| site.read(&format!("out/{split}.jsonl")).lines().count() as i64;
    assert_eq!(lines("train") + lines("test"), pairs);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_whose_disk_is_full_stops_the_run_which_goes_on_once_there_is_space() {
    let server = ModelServer::start(Duration::from_millis(1), well).await;
    let folder = tempfile::tempdir().unwrap();
    // As root the server runs as another user, who must be able to enter.
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let data = folder.path().join("data");
    let Some(disk) = Disk::mount(&data, 160) else {
        eprintln!("skipped: the data folder cannot be put on a small disk");
        return;
    };
    corpus::lay(&folder.path().join("corpus"), 6);
    corpus::lay_bulk(&folder.path().join("corpus/repository-2-tables"), 12);
    std::fs::write(folder.path().join("pipeline.toml"), pipeline(&server.url, 4)).unwrap();
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codepmp"));
        command.args(arguments).current_dir(folder.path()).env("CODEPMP_DATA_DIR", &data).env_remove("DATABASE_URL");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        finish(command.spawn().unwrap()).await
    };
    run(&["db", "start"]).await.with(0);
    run(&["db", "migrate"]).await.with(0);
    let ballast = disk.fill(4 << 20);
    let ended = run(&["run", "pipeline.toml"]).await.with(1);
    assert!(ended.stderr.contains("full") && ended.stderr.contains("free some space"), "{ended:?}");

    std::fs::remove_file(ballast).unwrap();
    run(&["run", "pipeline.toml"]).await.with(0);
    let counts = "select (select count(*) from snippets) as snippets, (select count(*) from pairs) as pairs,
        (select count(*) from documents) as documents, (select count(distinct path || repository) from documents) as files";
    let counts = run(&["sql", counts, "--format", "json"]).await.with(0).stdout;
    let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
    let of = |name: &str| counts[name].as_i64().unwrap();
    assert!(of("snippets") > 40 && of("pairs") == 2 * of("snippets"), "{counts}");
    assert!(of("documents") > 60 && of("documents") == of("files"), "{counts}");
    run(&["db", "stop", "--force"]).await.with(0);
}
