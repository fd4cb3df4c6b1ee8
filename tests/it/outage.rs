//! Postgres goes away and comes back in the middle of a run, and the run finishes.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::Duration;

use codepmp::store::local::Cluster;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::corpus;
use crate::model::{ModelServer, well};
use crate::site::{Ended, finish, pipeline, watch};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_outlives_a_stop_and_a_crash_of_its_embedded_database() {
    let server = ModelServer::start(Duration::from_millis(60), well).await;
    let folder = tempfile::tempdir().unwrap();
    // As root the server runs as another user, who must be able to enter.
    std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    corpus::lay(&folder.path().join("corpus"), 10);
    std::fs::write(folder.path().join("pipeline.toml"), pipeline(&server.url, 2)).unwrap();
    let data = folder.path().join("data");
    let command = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codepmp"));
        command.args(arguments).current_dir(folder.path()).env("CODEPMP_DATA_DIR", &data).env_remove("DATABASE_URL");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command.spawn().unwrap()
    };
    let mut run = command(&["run", "pipeline.toml"]);
    // A fast shutdown, as a restart makes; then a crash.
    for (answers, signal) in [(20, Signal::SIGINT), (120, Signal::SIGKILL)] {
        assert!(watch(&mut run, async || server.answers() >= answers).await, "it ended too early");
        let postmaster = Cluster::status(&data).unwrap().running.expect("the server runs").pid;
        kill(Pid::from_raw(postmaster as i32), signal).unwrap();
    }
    let ended: Ended = finish(run).await.with(0);
    assert!(ended.stdout.contains("pairs, train"), "{ended:?}");

    let counts = "select (select count(*) from snippets) as snippets, (select count(*) from descriptions) as described,
        (select count(*) from completions) as completed, (select count(*) from pairs) as paired,
        (select count(*) from rejections where class <> all ('{exact_duplicate,near_duplicate,parse_errors,long_line,
         empty,invalid_utf8,nul_byte,outside_limits,few_lines,syntax_error}')) as failed";
    let counts = finish(command(&["sql", counts, "--format", "json"])).await.with(0).stdout;
    let counts: serde_json::Value = serde_json::from_str(&counts).unwrap();
    let of = |name: &str| counts[name].as_i64().unwrap();
    assert!(of("snippets") > 80, "{counts}");
    let expected = (of("snippets"), 2 * of("snippets") * 2, 2 * of("snippets"), 0);
    assert_eq!((of("described"), of("completed"), of("paired"), of("failed")), expected, "{counts}");
    // Answers that came while the database was away were kept and committed, not asked for again.
    let twice: Vec<_> = server.asked().into_iter().filter(|(_, asked)| asked.answers != 1).collect();
    assert!(twice.is_empty(), "{twice:?}");
    finish(command(&["db", "stop", "--force"])).await.with(0);
}
