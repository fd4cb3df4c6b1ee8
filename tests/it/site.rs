//! A folder and a database for one test, and the program run in them.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use codepmp::store::testing::TestDatabase;
use secrecy::ExposeSecret as _;
use sqlx::PgPool;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

/// The pipeline of most tests; `URL` stands for the model server, `CONCURRENCY` for the calls at once of each model.
pub const PIPELINE: &str = r#"
name = "test"
seed = 3

[endpoints.describer]
base_url = "URL"
model = "describer"
concurrency = CONCURRENCY
preflight_completion = false

[endpoints.strong]
base_url = "URL"
model = "strong"
concurrency = CONCURRENCY
preflight_completion = false

[endpoints.weak]
base_url = "URL"
model = "weak"
concurrency = CONCURRENCY
preflight_completion = false

[[stages]]
name = "ingest"
kind = "ingest"

[[stages.sources]]
kind = "dir"
path = "corpus/*"

[[stages]]
name = "filter"
kind = "filter"
needs = ["ingest"]
bytes_max = 100000

[[stages]]
name = "dedupe"
kind = "dedupe"
needs = ["filter"]

[[stages]]
name = "parse"
kind = "parse"
needs = ["dedupe"]

[[stages]]
name = "describe"
kind = "describe"
needs = ["parse"]
endpoint = "describer"
prompt.user = "Describe:\n{{ code }}"

[[stages]]
name = "chosen"
kind = "generate"
needs = ["describe"]
endpoint = "strong"
samples = 2
sampling = { seed = 1 }
prompt.user = "{{ description }}"

[[stages]]
name = "rejected"
kind = "generate"
needs = ["describe"]
endpoint = "weak"
samples = 2
sampling = { seed = 1 }
prompt.user = "{{ description }}"

[[stages]]
name = "pairs"
kind = "pair"
needs = ["chosen", "rejected"]
chosen = "chosen"
rejected = "rejected"
test_share = 0.5
prompt = "Do: {{ description }}"

[[stages]]
name = "export"
kind = "export"
needs = ["pairs"]
out = "out"
"#;

/// Longest that any program may take here.
const PATIENCE: Duration = Duration::from_secs(120);

/// [`PIPELINE`] against the server at `url`.
pub fn pipeline(url: &str, concurrency: u32) -> String {
    PIPELINE.replace("URL", url).replace("CONCURRENCY", &concurrency.to_string())
}

/// A folder and a database; both go when dropped.
pub struct Site {
    folder: tempfile::TempDir,
    database: TestDatabase,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Ended {
    /// The same, if the program ended with `code`.
    #[track_caller]
    pub fn with(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

impl Site {
    /// An empty folder and a migrated database.
    pub async fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), database: TestDatabase::new().await }
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// The content of a text file in the folder.
    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Bytes of a file in the folder.
    pub fn size(&self, name: &str) -> u64 {
        std::fs::metadata(self.path(name)).unwrap().len()
    }

    /// The database.
    pub fn pool(&self) -> &PgPool {
        self.database.pool()
    }

    /// The one value that a query gives.
    pub async fn number(&self, query: &'static str) -> i64 {
        sqlx::query_scalar(query).fetch_one(self.pool()).await.unwrap()
    }

    /// The one text that a query gives.
    pub async fn text(&self, query: &'static str) -> String {
        sqlx::query_scalar(query).fetch_one(self.pool()).await.unwrap()
    }

    /// The program, to be run in the folder on the database.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_codepmp"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("DATABASE_URL", self.database.url().expose_secret())
            .env("CODEPMP_DATA_DIR", self.path("data"))
            .env_remove("CODEPMP_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs the program to its end.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        finish(self.start(arguments)).await
    }

    /// Starts the program.
    pub fn start(&self, arguments: &[&str]) -> Child {
        self.command(arguments).spawn().unwrap()
    }
}

/// Waits for the program to end.
pub async fn finish(child: Child) -> Ended {
    let ended = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let output = ended.expect("the program does not end").unwrap();
    Ended {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// Waits until `happened`, or the program has ended; false if it ended first.
pub async fn watch(child: &mut Child, mut happened: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if happened().await {
            return true;
        }
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        sleep(Duration::from_millis(2)).await;
    }
    panic!("nothing happened within {PATIENCE:?}");
}
