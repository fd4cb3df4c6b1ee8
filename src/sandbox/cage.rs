//! One process in a cage: how bubblewrap is called, and the channel to what runs inside.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use nix::unistd::{User, geteuid};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::python::Python;
use super::{Limits, SandboxError, filter};

/// Longest message from the inside, in bytes.
const MESSAGE_BYTES: u64 = 16 << 20;
/// How much of what was printed is kept, in bytes.
const TAIL: usize = 4096;
/// How long a cage may take to stand, on a machine that swaps.
const START: Duration = Duration::from_secs(60);

/// What runs inside: the text of a Python program.
#[derive(Clone, Copy, Debug)]
pub(super) enum Role {
    Answer,
    Judge,
    Probe,
}

impl Role {
    fn text(self) -> String {
        let own = match self {
            Self::Answer => include_str!("inside/answer.py"),
            Self::Judge => include_str!("inside/judge.py"),
            Self::Probe => include_str!("inside/probe.py"),
        };
        [include_str!("inside/confine.py"), include_str!("inside/values.py"), own].concat()
    }
}

/// All that is needed to make cages.
#[derive(Debug)]
pub(super) struct Cage {
    bwrap: PathBuf,
    python: Python,
    pub become_user: Option<(u32, u32)>,
    filter: String,
    /// Further arguments of bubblewrap: tests open the cage with them, to see that it is noticed.
    pub more: &'static [&'static str],
}

impl Cage {
    pub async fn find() -> Result<Self, SandboxError> {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let bwrap = bwrap(std::env::split_paths(&paths).chain([PathBuf::from("/usr/bin")]))?;
        let become_user = if geteuid().is_root() {
            let nobody = User::from_name("nobody").ok().flatten().ok_or(SandboxError::NoUser)?;
            Some((nobody.uid.as_raw(), nobody.gid.as_raw()))
        } else {
            None
        };
        let python = Python::find(become_user).await?;
        Ok(Self { bwrap, python, become_user, filter: filter::filter()?, more: &[] })
    }

    /// Its programs.
    pub fn found(&self) -> String {
        format!("{} with {}", self.bwrap.display(), self.python.program.display())
    }

    /// Whether `path` is, holds or lies in something that is seen inside with good reason.
    pub fn shows(&self, path: &Path) -> bool {
        let bound = self.python.folders.iter().chain([&self.python.program]);
        bound.into_iter().any(|part| part.starts_with(path) || path.starts_with(part))
            || ["/tmp", "/dev"].into_iter().any(|own| Path::new(own).starts_with(path))
    }

    /// Starts `role` and hands it `order` together with its limits. It has confined itself when this returns.
    pub async fn start(&self, role: Role, limits: &Limits, mut order: Value) -> Result<Inmate, SandboxError> {
        let mut child = self.command(role, limits).spawn().map_err(SandboxError::io("start bubblewrap"))?;
        let (Some(input), Some(output), Some(prints)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(SandboxError::Start { message: "no pipes".to_owned() });
        };
        let prints = Prints { from: prints, tail: Vec::new(), count: 0, limit: limits.output_bytes };
        let mut inmate = Inmate { child, input, output: BufReader::new(output), prints };
        order["limits"] = limits.order(&self.filter);
        let greet = async {
            inmate.send(format!("{order}\n").as_bytes()).await;
            inmate.next().await
        };
        let first = tokio::time::timeout(START, greet).await;
        if matches!(&first, Ok(Heard::Line(line)) if serde_json::from_slice(line).ok() == Some(json!({"confined": true})))
        {
            return Ok(inmate);
        }
        if first.is_ok() {
            inmate.ended().await;
        }
        Err(SandboxError::Start { message: format!("{role:?} did not start: {}", inmate.prints.tail().trim()) })
    }

    fn command(&self, role: Role, limits: &Limits) -> Command {
        let mut command = Command::new(&self.bwrap);
        command.env_clear().current_dir("/").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // The end of bubblewrap is the end of all that is inside, by its pid namespace.
        command.kill_on_drop(true).process_group(0);
        if let Some((user, group)) = self.become_user {
            command.uid(user).gid(group);
        }
        command.args(["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session"]);
        command.args(["--uid", "65534", "--gid", "65534", "--hostname", "sandbox", "--clearenv"]);
        // Sets of strings have one order, whoever runs the tests and when.
        for (name, value) in [("HOME", "/tmp"), ("LANG", "C.UTF-8"), ("PYTHONHASHSEED", "0")] {
            command.args(["--setenv", name, value]);
        }
        for path in self.python.folders.iter().chain([&self.python.program]) {
            command.arg("--ro-bind").args([path, path]);
        }
        // Where the program looks for its loader and libraries, by links on most systems.
        for name in ["/lib", "/lib64"] {
            match std::fs::read_link(name) {
                Ok(target) => command.arg("--symlink").arg(target).arg(name),
                Err(_) => command.args(["--ro-bind-try", name, name]),
            };
        }
        if Path::new("/usr/lib64").is_dir() && !self.python.folders.iter().any(|f| f == Path::new("/usr/lib64")) {
            command.args(["--ro-bind", "/usr/lib64", "/usr/lib64"]);
        }
        for device in ["/dev/null", "/dev/urandom"] {
            command.args(["--dev-bind", device, device]);
        }
        command.args(["--perms", "0700", "--size", &limits.file_bytes.to_string(), "--tmpfs", "/tmp"]);
        command.args(self.more).args(["--chdir", "/tmp", "--remount-ro", "/", "--"]);
        command.arg(&self.python.program).args(["-s", "-S", "-B", "-c", &role.text()]);
        command
    }
}

/// bubblewrap's program in the first of `folders` that has it.
pub(super) fn bwrap(folders: impl IntoIterator<Item = PathBuf>) -> Result<PathBuf, SandboxError> {
    let mut paths = folders.into_iter().map(|folder| folder.join("bwrap"));
    paths
        .find(|path| path.is_file())
        .ok_or_else(|| SandboxError::Missing { what: "bubblewrap (no bwrap on PATH)".to_owned() })
}

/// What comes through the channel.
pub(super) enum Heard {
    /// A message, with its line end.
    Line(Vec<u8>),
    /// A message longer than any may be.
    TooLong,
    /// Nothing will come any more.
    End,
}

/// A process in a cage; dropped, it is killed with all that it started.
pub(super) struct Inmate {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub prints: Prints,
}

impl Inmate {
    /// Sends a message. That nobody takes it shows when the answer is read.
    pub async fn send(&mut self, message: &[u8]) {
        let _ = self.input.write_all(message).await;
    }

    /// The next message; printing too much is as long a message as can be.
    pub async fn next(&mut self) -> Heard {
        let Self { output, prints, .. } = self;
        tokio::select! {
            heard = line(output) => heard,
            () = prints.overflow() => Heard::TooLong,
        }
    }

    /// Waits for its end and takes what it still printed; its exit code, 128 and more for a signal.
    pub async fn ended(&mut self) -> Option<i32> {
        self.prints.rest().await;
        self.child.wait().await.ok()?.code()
    }

    /// Ends it, with all that it started.
    pub async fn end(mut self) {
        let _ = self.child.kill().await; // it may have ended by itself
    }
}

async fn line(output: &mut BufReader<ChildStdout>) -> Heard {
    let mut line = Vec::new();
    match output.take(MESSAGE_BYTES + 1).read_until(b'\n', &mut line).await {
        Ok(_) if line.ends_with(b"\n") => Heard::Line(line),
        Ok(count) if count as u64 > MESSAGE_BYTES => Heard::TooLong,
        _ => Heard::End,
    }
}

/// What a process prints: counted, the last of it kept.
pub(super) struct Prints {
    from: ChildStderr,
    tail: Vec<u8>,
    count: u64,
    limit: u64,
}

impl Prints {
    /// Returns when more was printed than may be.
    pub async fn overflow(&mut self) {
        self.rest().await;
        if self.count <= self.limit {
            std::future::pending::<()>().await;
        }
    }

    /// The last of it.
    pub fn tail(&self) -> String {
        String::from_utf8_lossy(&self.tail).into_owned()
    }

    /// Reads up to the end or one part beyond the limit.
    async fn rest(&mut self) {
        let mut part = [0; TAIL];
        while self.count <= self.limit {
            let Ok(count @ 1..) = self.from.read(&mut part).await else { return };
            self.count += count as u64;
            self.tail.extend_from_slice(&part[..count]);
            let beyond = self.tail.len().saturating_sub(TAIL);
            self.tail.drain(..beyond);
        }
    }
}
