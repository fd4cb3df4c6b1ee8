//! Every class of failure, from a server's bytes to the rows in the database, as a table: `fault_matrix.txt` beside this
//! file. If a change of it is meant, `CODEPMP_WRITE_TABLES=1 cargo test fault` writes it anew.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;
use sqlx::Row as _;

use crate::scripted::{Act, End, Question, ScriptedServer, completion, event, good};
use crate::site::Site;

/// One line of the table.
struct Case {
    /// Model, endpoint and stage.
    name: &'static str,
    /// What the server does, in words.
    server: &'static str,
    /// What the endpoint's section says besides.
    endpoint: &'static str,
    /// What the stage's section says besides.
    stage: &'static str,
    /// What the server does.
    act: fn(&Question) -> Act,
}

fn error(status: u16, code: &str) -> Act {
    Act::Send(status, Vec::new(), json!({"error": {"message": "a message", "code": code}}).to_string())
}

fn throttled() -> Act {
    let body = json!({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}).to_string();
    Act::Send(429, vec![("retry-after-ms", "1".to_owned())], body)
}

fn answered(text: &str, finish_reason: &str) -> Act {
    Act::Send(200, Vec::new(), completion(text, finish_reason))
}

fn broken() -> Act {
    Act::Stream(vec!["{\"choices\": [".to_owned()], End::Broken)
}

fn once(question: &Question, act: fn() -> Act) -> Act {
    if question.seen == 0 { act() } else { good() }
}

const CASES: &[Case] = &[
    Case { name: "ok", server: "answers", endpoint: "", stage: "", act: |_| good() },
    Case { name: "throttled", server: "429 each time", endpoint: "max_attempts = 1", stage: "", act: |_| throttled() },
    Case { name: "throttled-once", server: "429, then answers", endpoint: "", stage: "", act: |q| once(q, throttled) },
    Case {
        name: "throttled-policy",
        server: "429 each time",
        endpoint: "",
        stage: "on_failure.throttled = { retry = 2, then = \"stop\" }",
        act: |_| throttled(),
    },
    Case { name: "overloaded", server: "503 each time", endpoint: "", stage: "", act: |_| error(503, "overloaded") },
    Case {
        name: "overloaded-once",
        server: "500, then answers",
        endpoint: "",
        stage: "",
        act: |q| once(q, || error(500, "x")),
    },
    Case {
        name: "overloaded-policy",
        server: "503 each time",
        endpoint: "",
        stage: "on_failure.overloaded = { retry = 0 }",
        act: |_| error(503, "overloaded"),
    },
    Case { name: "timed_out", server: "silence each time", endpoint: "", stage: "", act: |_| Act::Silence },
    Case {
        name: "timed_out-once",
        server: "504, then answers",
        endpoint: "",
        stage: "",
        act: |q| once(q, || error(504, "x")),
    },
    Case {
        name: "timed_out-stalled",
        server: "a stream that stalls",
        endpoint: "stream = true\nstall_seconds = 1\ntimeout_seconds = 60",
        stage: "on_failure.timed_out = { retry = 1 }",
        act: |_| Act::Stream(vec![event(&json!({"content": "Write"}), None)], End::Silent),
    },
    Case { name: "connection", server: "hangs up each time", endpoint: "", stage: "", act: |_| broken() },
    Case {
        name: "connection-once",
        server: "hangs up, then answers",
        endpoint: "",
        stage: "",
        act: |q| once(q, broken),
    },
    Case {
        name: "connection-stream",
        server: "a stream that breaks off, then answers",
        endpoint: "stream = true",
        stage: "",
        act: |q| once(q, || Act::Stream(vec![event(&json!({"content": "Write"}), None)], End::Broken)),
    },
    Case {
        name: "connection-policy",
        server: "hangs up each time",
        endpoint: "",
        stage: "on_failure.connection.then = \"reject\"",
        act: |_| broken(),
    },
    Case {
        name: "truncated",
        server: "an answer cut at the limit",
        endpoint: "",
        stage: "",
        act: |_| answered("Write a", "length"),
    },
    Case {
        name: "truncated-split",
        server: "three parts, two of them cut",
        endpoint: "",
        stage: "on_failure.truncated.split = 3",
        act: |q| match q.messages {
            1 => answered("Write a function ", "length"),
            _ if q.seen == 1 => answered("that doubles ", "length"),
            _ => answered("a value.", "stop"),
        },
    },
    Case {
        name: "truncated-too-long",
        server: "every part cut",
        endpoint: "",
        stage: "on_failure.truncated.split = 2",
        act: |_| answered("and so on ", "length"),
    },
    Case {
        name: "truncated-retry",
        server: "a cut answer, then a whole one",
        endpoint: "",
        stage: "on_failure.truncated.retry = 1",
        act: |q| once(q, || answered("Write a", "length")),
    },
    Case {
        name: "filtered",
        server: "withheld by its filter",
        endpoint: "",
        stage: "",
        act: |_| answered("", "content_filter"),
    },
    Case {
        name: "filtered-policy",
        server: "400, content_filter",
        endpoint: "",
        stage: "on_failure.filtered.then = \"stop\"",
        act: |_| error(400, "content_filter"),
    },
    Case {
        name: "malformed",
        server: "a web page each time",
        endpoint: "",
        stage: "",
        act: |_| Act::Send(200, Vec::new(), "<html>it works</html>".to_owned()),
    },
    Case {
        name: "malformed-once",
        server: "a stream of nonsense, then answers",
        endpoint: "stream = true",
        stage: "",
        act: |q| once(q, || Act::Stream(vec!["data: {\"choi\n\n".to_owned()], End::Well)),
    },
    Case { name: "empty", server: "no text each time", endpoint: "", stage: "", act: |_| answered(" \n", "stop") },
    Case {
        name: "empty-once",
        server: "no text, then answers",
        endpoint: "",
        stage: "",
        act: |q| once(q, || answered("", "stop")),
    },
    Case {
        name: "refused",
        server: "declines",
        endpoint: "",
        stage: "",
        act: |_| {
            let choice = json!({"message": {"content": null, "refusal": "I cannot"}, "finish_reason": "stop"});
            Act::Send(200, Vec::new(), json!({"choices": [choice]}).to_string())
        },
    },
    Case { name: "bad_request", server: "400", endpoint: "", stage: "", act: |_| error(400, "x") },
    Case {
        name: "bad_request-model",
        server: "404, no such model",
        endpoint: "",
        stage: "",
        act: |_| error(404, "model_not_found"),
    },
    Case {
        name: "bad_request-policy",
        server: "404, no such model",
        endpoint: "",
        stage: "on_failure.bad_request.then = \"reject\"",
        act: |_| error(404, "model_not_found"),
    },
    Case { name: "unauthorised", server: "401", endpoint: "", stage: "", act: |_| error(401, "invalid_api_key") },
    Case {
        name: "out_of_quota",
        server: "429, insufficient_quota",
        endpoint: "",
        stage: "",
        act: |_| error(429, "insufficient_quota"),
    },
    Case {
        name: "out_of_quota-402",
        server: "402",
        endpoint: "",
        stage: "on_failure.out_of_quota = { retry = 1, then = \"stop\" }",
        act: |_| error(402, "x"),
    },
];

const CODE: &str =
    "def double(value):\n    \"\"\"Twice the value.\"\"\"\n    result = value + value\n    return result\n";

/// One snippet, and a stage for each case that describes it.
fn pipeline(url: &str) -> String {
    let mut text = String::from(
        "name = \"faults\"\n[[stages]]\nname = \"ingest\"\nkind = \"ingest\"\n[[stages.sources]]\nkind = \"dir\"\n\
         path = \"corpus/*\"\n[[stages]]\nname = \"parse\"\nkind = \"parse\"\nneeds = [\"ingest\"]\n",
    );
    for Case { name, endpoint, stage, .. } in CASES {
        let timeout = if endpoint.contains("timeout_seconds") { "" } else { "timeout_seconds = 1\n" };
        let attempts = if endpoint.contains("max_attempts") { "" } else { "max_attempts = 3\n" };
        write!(
            text,
            "[endpoints.{name}]\nbase_url = \"{url}\"\nmodel = \"{name}\"\n{timeout}{attempts}{endpoint}\n\
             [[stages]]\nname = \"{name}\"\nkind = \"describe\"\nneeds = [\"parse\"]\nendpoint = \"{name}\"\n\
             prompt.user = \"Describe:\\n{{{{ code }}}}\"\n{stage}\n",
        )
        .unwrap();
    }
    text
}

/// `1-3 overloaded 503, 4 ok`
fn runs_of(calls: &[String]) -> String {
    let mut runs: Vec<(usize, usize, &str)> = Vec::new();
    for (number, call) in (1..).zip(calls) {
        match runs.last_mut() {
            Some((_, last, same)) if same == call => *last = number,
            _ => runs.push((number, number, call)),
        }
    }
    let number = |first, last| if first == last { format!("{first}") } else { format!("{first}-{last}") };
    let runs = runs.into_iter().map(|(first, last, call)| format!("{} {call}", number(first, last)));
    runs.collect::<Vec<_>>().join(", ")
}

async fn row(site: &Site, server: &ScriptedServer, case: &Case) -> Vec<String> {
    let calls: Vec<String> = sqlx::query_scalar(
        "select concat_ws(' ', class, nullif(status, 200)) from llm_calls c where model = $1 order by attempt",
    )
    .bind(case.name)
    .fetch_all(site.pool())
    .await
    .unwrap();
    let state = sqlx::query(
        "select r.state, t.state, coalesce((select e.text from descriptions e where e.stage_id = r.stage_id), ''),
                coalesce((select j.class from rejections j where j.stage_id = r.stage_id), '')
         from run_stages r join tasks t on t.stage_id = r.stage_id where r.name = $1",
    )
    .bind(case.name)
    .fetch_one(site.pool())
    .await
    .unwrap();
    let (stage, task, text, rejected): (String, String, String, String) =
        (state.get(0), state.get(1), state.get(2), state.get(3));
    let kept = match (task.as_str(), text.is_empty()) {
        ("done", false) => format!("done: {text}"),
        ("rejected", true) => format!("rejected as {rejected}"),
        ("ready", true) => "waits to be done".to_owned(),
        other => format!("{other:?}, which should not be"),
    };
    let policy = case.stage.trim_start_matches("on_failure.").replace('"', "");
    let settings = [case.endpoint.replace('\n', ", "), policy].into_iter().filter(|text| !text.is_empty());
    vec![
        case.name.to_owned(),
        case.server.to_owned(),
        settings.collect::<Vec<_>>().join("; "),
        server.asked(case.name).to_string(),
        stage,
        runs_of(&calls),
        kept,
    ]
}

/// Columns in line, as plain text.
fn table(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join(" | ").trim_end());
        text.push('\n');
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fault_matrix_is_as_documented() {
    let server = ScriptedServer::start(|question| {
        let case = CASES.iter().find(|case| case.name == question.model).unwrap();
        (case.act)(question)
    })
    .await;
    let site = Site::new().await;
    site.write("corpus/one/one.py", CODE);
    site.write("pipeline.toml", pipeline(&server.url));
    let ended = site.run(&["run", "pipeline.toml"]).await.with(1);
    assert_eq!(site.number("select count(*) from snippets").await, 1, "{ended:?}");

    let head = ["case", "the server", "settings", "sent", "stage", "llm_calls", "the row"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for case in CASES {
        rows.push(row(&site, &server, case).await);
    }
    let found = table(&rows);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/fault_matrix.txt");
    if std::env::var_os("CODEPMP_WRITE_TABLES").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let documented = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(found, documented, "the table has changed:\n{found}");

    // Every attempt is a row with its time, and its reason if it failed; every class has a line that says so.
    let silent = "select count(*) from llm_calls where latency_ms <= 0 or (class = 'ok') <> (message is null)";
    assert_eq!(site.number(silent).await, 0);
    assert_eq!(site.number("select count(distinct class) from llm_calls").await, 13);
}
