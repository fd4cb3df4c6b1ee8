//! The cage against programs that want out of it, and verdicts that programs want to forge.
#![allow(clippy::unwrap_used)]

use std::net::TcpListener;
use std::path::Path;

use tokio::sync::OnceCell;

use super::cage::{Cage, Role, bwrap};
use super::proof::prove;
use super::*;

async fn sandbox() -> &'static Sandbox {
    static FOUND: OnceCell<Sandbox> = OnceCell::const_new();
    FOUND.get_or_init(async || Sandbox::find().await.unwrap()).await
}

/// Small limits, so that tests which reach them end soon.
fn limits() -> Limits {
    Limits { cpu_seconds: 2, wall_seconds: 20, memory_bytes: 256 << 20, ..Limits::default() }
}

fn program(answer: &str, tests: &str) -> Program {
    Program { answer: answer.to_owned(), context: String::new(), tests: tests.to_owned(), entry_point: None }
}

async fn verdict(answer: &str, tests: &str) -> Verdict {
    sandbox().await.run(&program(answer, tests), &limits()).await.unwrap()
}

/// What `f()` gives, told by a test that fails with it.
async fn told(answer: &str) -> String {
    match verdict(answer, "assert False, repr(f())").await {
        Verdict::Failed { message, .. } => message,
        other => panic!("{other:?}"),
    }
}

const RIGHT: &str = "def f(x):\n    return x + 1\n";

#[tokio::test]
async fn right_answers_pass_and_wrong_ones_fail_with_their_error() {
    assert_eq!(verdict(RIGHT, "assert f(1) == 2\nassert [f(x) for x in (1, 2)] == [2, 3]").await, Verdict::Passed);
    let Verdict::Failed { message, exit: None } = verdict(RIGHT, "assert f(1) == 3, f(1)").await else { panic!() };
    assert!(message.contains("AssertionError: 2"), "{message}");
    for (answer, error) in [
        ("def f(x): return", "TypeError"),
        ("def f(x): raise KeyError('gone')", "KeyError: \"'gone'\""),
        ("def g(x): return x", "the answer defines no f"),
        ("def f(x:", "SyntaxError"),
    ] {
        let Verdict::Failed { message, .. } = verdict(answer, "assert f(1) < 3").await else { panic!("{answer}") };
        assert!(message.contains(error), "{answer}: {message}");
    }
}

#[tokio::test]
async fn items_of_both_sets_run() {
    let prompt = "import math\n\n\ndef poly(xs, x):\n    return sum(c * math.pow(x, i) for i, c in enumerate(xs))\n\n\n\
                  def root(xs):\n    \"\"\" A zero of it. \"\"\"\n";
    let test =
        "METADATA = {}\n\n\ndef check(candidate):\n    xs = [-6, 2]\n    assert abs(poly(xs, candidate(xs))) < 1e-4\n";
    let limits = limits();
    for (answer, passes) in [("    return -xs[0] / xs[1]\n", true), ("    return 0\n", false)] {
        let item = Program::human_eval(prompt, answer, test, "root");
        assert_eq!(sandbox().await.run(&item, &limits).await.unwrap().passed(), passes, "{answer}");
    }
    let tests = ["assert same((3, 4), (4, 5)) == (4,)", "assert set(same((1,), (1, 1))) == {1}"].map(str::to_owned);
    let item =
        Program::mbpp("```python\ndef same(a, b):\n    return tuple(set(a) & set(b))\n```", "", &tests, Some("same"));
    assert_eq!(sandbox().await.run(&item, &limits).await.unwrap(), Verdict::Passed);
    // The published set has such a function.
    let tests = ["assert sum(10, 15) == 6".to_owned()];
    let item = Program::mbpp("def sum(a, b): return 6", "", &tests, Some("sum"));
    assert_eq!(sandbox().await.run(&item, &limits).await.unwrap(), Verdict::Passed);
}

#[tokio::test]
async fn values_arrive_as_they_were_and_arguments_changed_in_place_are_seen() {
    let same = "def f(x): return x\ndef push(xs): xs.append(9)\ndef many(): return (x for x in range(3))\n";
    let tests = "
for value in [None, True, 3, 2**70, -0.5, float('inf'), 'a\\u00e9\\ud800', b'\\x00', 1j, [1, (2, [3])], {1, 2},
              {(1, 2): [3], None: {}}, frozenset([1]), range(1, 9, 2), [], (), '', int, [str, dict]]:
    assert f(value) == value and type(f(value)) is type(value), value
assert f(float('nan')) != f(float('nan'))
xs = [1]
push(xs)
assert xs == [1, 9]
assert list(many()) == [0, 1, 2]
assert f(sys.getsizeof(())) == sys.getsizeof(())
try:
    f(1, 2)
    assert False
except TypeError:
    pass
";
    assert_eq!(verdict(same, tests).await, Verdict::Passed);
}

#[tokio::test]
async fn a_verdict_cannot_be_forged() {
    let tests = "assert f(1) == 2\nassert sorted(f(1)) == [1, 2]";
    for answer in [
        "import os\nos._exit(0)",
        "raise SystemExit(0)",
        "def f(x):\n    import os\n    os._exit(0)",
        "def f(x): raise SystemExit(0)",
        "print('{\"verdict\": \"passed\"}')\ndef f(x): return 0",
        "import os\nfor fd in range(3, 9):\n    try: os.write(fd, b'{\"verdict\": \"passed\"}\\n' * 3)\n    except OSError: pass",
        "class Same:\n    def __eq__(self, other): return True\n    def __iter__(self): return iter([1, 2])\n\
         def f(x): return Same()",
        "class Two(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\ndef f(x): return Two(7)",
        "def sorted(x): return [1, 2]\ndef f(x): return 2",
        "import builtins, sys\nbuiltins.AssertionError = ZeroDivisionError\nsys.settrace(lambda *a: None)\ndef f(x): return 1",
        "import atexit, os\natexit.register(os._exit, 0)\nimport sys\nsys.exit()",
        "import sys\nchannel = sys._getframe(2).f_globals['channel']\n\
         channel.write(b'{\"verdict\": \"passed\"}\\n'); channel.flush()",
    ] {
        let found = verdict(answer, tests).await;
        assert!(matches!(found, Verdict::Failed { .. }), "{answer}: {found:?}");
    }
}

#[tokio::test]
async fn tests_that_are_at_fault_are_told_from_answers_that_fail() {
    for tests in ["assert f(", "class Node: pass\nassert f(Node()) == 1"] {
        assert!(matches!(verdict(RIGHT, tests).await, Verdict::TestsAtFault { .. }), "{tests}");
    }
    let broken = Program { context: "import nowhere".to_owned(), ..program(RIGHT, "assert f(1) == 2") };
    let found = sandbox().await.run(&broken, &limits()).await.unwrap();
    assert!(matches!(&found, Verdict::TestsAtFault { message } if message.contains("nowhere")), "{found:?}");
}

#[tokio::test]
async fn an_endless_loop_times_out_in_answer_and_tests() {
    let short = Limits { cpu_seconds: 1, ..limits() };
    for (answer, tests) in
        [("def f(x):\n    while True: pass", "f(1)"), (RIGHT, "while True: pass"), ("while True: pass", "")]
    {
        let found = sandbox().await.run(&program(answer, tests), &short).await.unwrap();
        assert_eq!(found, Verdict::TimedOut, "{answer} {tests}");
    }
    let idle = Limits { wall_seconds: 1, ..limits() };
    let sleeper = program("import time\ndef f(x): time.sleep(1000)", "f(1)");
    assert_eq!(sandbox().await.run(&sleeper, &idle).await.unwrap(), Verdict::TimedOut);
}

#[tokio::test]
async fn a_memory_bomb_runs_out_of_its_own_memory() {
    for answer in [
        "def f(x): return len(bytearray(1 << 40))",
        "def f(x):\n    y = [0]\n    while True: y += y",
        "z = bytearray(1 << 29)",
    ] {
        assert_eq!(verdict(answer, "f(1)").await, Verdict::OutOfMemory, "{answer}");
    }
}

#[tokio::test]
async fn a_fork_bomb_is_stopped_by_the_limit_of_processes() {
    let answer = "
import os, signal
def f():
    children = 0
    try:
        while children < 1000:
            if os.fork() == 0:
                signal.pause()
            children += 1
    except OSError as error:
        return children, error.errno
";
    assert!(told(answer).await.contains("(3, 11)"), "{}", told(answer).await);
    let bomb = "import os\ndef f(x):\n    while True:\n        try: os.fork()\n        except OSError: pass";
    let short = Limits { cpu_seconds: 1, wall_seconds: 2, ..limits() };
    assert_eq!(sandbox().await.run(&program(bomb, "f(1)"), &short).await.unwrap(), Verdict::TimedOut);
}

#[tokio::test]
async fn no_file_of_the_machine_is_seen_and_none_is_written() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(data.path().join("password"), "secret").unwrap();
    let home = std::env::var("HOME").unwrap();
    for path in [
        Path::new("/etc/shadow"),
        Path::new("/etc/passwd"),
        data.path(),
        Path::new(&home),
        Path::new("/proc/1/environ"),
    ] {
        let answer = format!("import os\ndef f(): return os.path.lexists({:?})", path.display().to_string());
        assert!(told(&answer).await.contains("False"), "{path:?}");
    }
    for (path, error) in [("/x", 30), ("/usr/x", 30), ("/dev/x", 30), ("/usr/lib/x", 30)] {
        let answer =
            format!("def f():\n    try: open({path:?}, 'w')\n    except OSError as error: return 'errno', error.errno");
        assert!(told(&answer).await.contains(&format!("('errno', {error})")), "{path}: {}", told(&answer).await);
    }
    let listing = told("import os\ndef f(): return os.listdir('/'), os.listdir('.'), dict(os.environ)").await;
    assert!(listing.contains("PYTHONHASHSEED") && !listing.contains("CARGO"), "{listing}");
}

#[tokio::test]
async fn its_own_files_are_bounded_one_and_all() {
    let answer = "
def f():
    written = 0
    try:
        for name in range(20):
            with open(f'/tmp/{name}', 'wb') as file:
                file.write(bytes(1 << 20))
            written += 1
    except OSError as error:
        return written, error.errno
";
    let small = Limits { file_bytes: 5 << 20, ..limits() };
    let found = sandbox().await.run(&program(answer, "assert False, repr(f())"), &small).await.unwrap();
    assert!(matches!(&found, Verdict::Failed { message, .. } if message.contains("(5, 28)")), "{found:?}");
}

#[tokio::test]
async fn the_network_is_out_of_reach() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let answer = format!(
        "import socket\ndef f():\n    try: socket.create_connection(('127.0.0.1', {port}), 1)\n    \
         except OSError as error: return 'refused', error.errno"
    );
    assert!(told(&answer).await.contains("('refused', "), "{}", told(&answer).await);
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
}

#[tokio::test]
async fn calls_that_limits_do_not_count_are_refused() {
    let answer = "
import ctypes
def f():
    libc = ctypes.CDLL(None, use_errno=True)
    calls = {'memfd': (319, b'x', 0), 'unshare': (272, 0x10000000), 'shmget': (29, 0, 1 << 20, 0o1600), 'x32': (0x40000000 | 272, 0)}
    return [(name, libc.syscall(*call), ctypes.get_errno()) for name, call in calls.items()]
";
    if cfg!(target_arch = "x86_64") {
        let found = told(answer).await;
        for name in ["memfd", "unshare", "shmget", "x32"] {
            assert!(found.contains(&format!("('{name}', -1, 38)")), "{found}");
        }
    }
}

#[tokio::test]
async fn processes_outside_get_no_signals() {
    let mut outside = std::process::Command::new("sleep").arg("100").spawn().unwrap();
    let answer = format!(
        "import os\ndef f():\n    try: os.kill({}, 9)\n    except OSError as error: return type(error).__name__",
        outside.id()
    );
    assert!(told(&answer).await.contains("ProcessLookupError"));
    verdict("import os\nos.kill(-1, 9)", "f(1)").await;
    assert!(outside.try_wait().unwrap().is_none());
    outside.kill().unwrap();
    outside.wait().unwrap();
}

#[tokio::test]
async fn a_huge_output_ends_the_program_and_a_long_one_is_cut() {
    for answer in [
        "def f(x):\n    while True: print('x' * 9999)",
        "import os\ndef f(x):\n    while True: os.write(2, b'x' * 9999)",
        "def f(x): return 'x' * (17 << 20)",
    ] {
        assert_eq!(verdict(answer, "f(1)").await, Verdict::TooMuchOutput, "{answer}");
    }
    let found = verdict("print('y' * 99999)\nimport os\nos._exit(3)", "f(1)").await;
    let Verdict::Failed { exit: Some(3), message } = found else { panic!("{found:?}") };
    assert!(message.len() < 5000 && message.ends_with("yyy"), "{message}");
}

#[tokio::test]
async fn a_cage_that_does_not_hold_is_refused() {
    let mut cage = Cage::find().await.unwrap();
    assert!(cage.shows(Path::new("/")) && cage.shows(Path::new("/tmp")));
    assert!(!cage.shows(Path::new("/etc")) && !cage.shows(Path::new("/tmp/home")));
    let user = cage.become_user;
    let mut openings: Vec<(Option<_>, &'static [&'static str], &str)> =
        vec![(user, &["--share-net"], "reaches the network"), (user, &["--ro-bind", "/etc", "/etc"], "sees /etc")];
    if user.is_some() {
        openings.push((None, &[], "where 3 are allowed")); // the machine's root is exempt from the limit
    }
    for (user, more, found) in openings {
        (cage.become_user, cage.more) = (user, more);
        let error = prove(&cage).await.unwrap_err();
        assert!(matches!(error, SandboxError::Leaks { .. }) && error.to_string().contains(found), "{error}");
    }
    (cage.become_user, cage.more) = (user, &["--no-such-argument"]);
    let error = prove(&cage).await.unwrap_err();
    assert!(matches!(&error, SandboxError::Start { message } if message.contains("no-such-argument")), "{error}");
}

#[test]
fn without_bubblewrap_nothing_runs_and_the_error_says_how_to_get_it() {
    let empty = tempfile::tempdir().unwrap();
    let error = bwrap([empty.path().to_owned()]).unwrap_err().to_string();
    assert!(error.contains("bubblewrap") && error.contains("apt-get install"), "{error}");
}

/// Processes of the machine whose command line holds `mark`.
fn running(mark: &str) -> usize {
    let lines =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(mark)).count()
}

#[tokio::test]
async fn nothing_outlives_the_verdict() {
    let mark = format!("left-behind-{}", std::process::id());
    let answer = format!(
        "import os, sys\ndef f(x):\n    if os.fork() == 0:\n        os.setsid()\n        \
         os.execv(sys.executable, ['python', '-c', 'import time; time.sleep(1000)', {mark:?}])\n    \
         import time\n    time.sleep(0.3)\n    return 2"
    );
    let run = program(&answer, "assert f(1) == 2");
    let watch = async {
        while running(&mark) == 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    let limits = limits();
    let (verdict, ()) = tokio::join!(sandbox().await.run(&run, &limits), watch);
    assert_eq!(verdict.unwrap(), Verdict::Passed);
    gone(&mark).await;
}

#[tokio::test]
async fn a_dropped_inmate_is_gone() {
    let cage = Cage::find().await.unwrap();
    let mark = format!("dropped-{}", std::process::id());
    let source = format!(
        "import os, sys\nif os.fork() == 0:\n    os.execv(sys.executable, ['python', '-c', 'import time; time.sleep(1000)', {mark:?}])\n\
         import time\ntime.sleep(1000)"
    );
    let inmate = cage.start(Role::Answer, &limits(), serde_json::json!({"source": source})).await.unwrap();
    while running(&mark) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    drop(inmate);
    gone(&mark).await;
}

/// Waits for the kernel to end what was killed.
async fn gone(mark: &str) {
    let end = async {
        while running(mark) > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(20), end).await.expect("a process was left behind");
}
