//! A key that the server sends back in every way it can is nowhere afterwards: not in the database, not in logs at the
//! finest level, not in output, not in files.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use serde_json::{Value, json};

use crate::batch_server::{Line, results};
use crate::scripted::{Act, End, Question, ScriptedServer, completion, event};
use crate::site::{Ended, Site, finish, pipeline as plain};

const KEY: &str = "sk-planted-0123456789-abcdefghijklmnop";
/// What would remain of it at a cut.
const PART: &str = "planted-0123456789";

/// What the server does for a model.
type Way = (&'static str, fn(&Question) -> Act);

/// Ways to send a key back, by model.
const WAYS: [Way; 12] = [
    ("header", |q| echo(503, &format!("busy with {}", q.key), &q.key)),
    ("unauthorised", |q| echo(401, &format!("Incorrect API key provided: {}", q.key), &q.key)),
    ("throttled", |q| echo(429, &format!("{} is too fast", q.key), &q.key)),
    ("moved", |q| Act::Send(308, vec![("location", format!("https://elsewhere/{}", q.key))], String::new())),
    ("page", |q| Act::Send(200, Vec::new(), format!("<html>{}{}</html>", "x".repeat(470), q.key))),
    ("text", |q| Act::Send(200, Vec::new(), completion(&format!("Use {} to double.", q.key), "stop"))),
    ("word", |q| Act::Send(200, Vec::new(), completion("Write.", &q.key))),
    ("cut", |q| Act::Send(200, Vec::new(), completion(&q.key, "length"))),
    ("refusal", |q| {
        let choice = json!({"message": {"content": null, "refusal": format!("not for {}", q.key)}});
        Act::Send(200, Vec::new(), json!({"choices": [choice], "model": q.key}).to_string())
    }),
    ("embedded", |q| {
        let error = json!({"error": {"message": format!("upstream refused {}", q.key), "code": q.key}});
        Act::Send(200, Vec::new(), error.to_string())
    }),
    ("stream", |q| {
        let (one, other) = q.key.split_at(15);
        let pieces = [event(&json!({"content": one}), None), event(&json!({"content": other}), Some("stop"))];
        Act::Stream(pieces.to_vec(), End::Well)
    }),
    ("nonsense", |q| Act::Stream(vec![format!("data: {{\"choices\": [{}\n\n", q.key)], End::Well)),
];

fn echo(status: u16, message: &str, key: &str) -> Act {
    let headers = vec![("x-echo", key.to_owned()), ("retry-after-ms", "1".to_owned())];
    Act::Send(status, headers, json!({"error": {"message": message, "type": key}}).to_string())
}

fn pipeline(url: &str) -> String {
    let mut text = String::from(
        "name = \"secrets\"\n[[stages]]\nname = \"ingest\"\nkind = \"ingest\"\n[[stages.sources]]\nkind = \"dir\"\n\
         path = \"corpus/*\"\n[[stages]]\nname = \"parse\"\nkind = \"parse\"\nneeds = [\"ingest\"]\n",
    );
    for (name, _) in WAYS {
        let stream = matches!(name, "stream" | "nonsense");
        write!(
            text,
            "[endpoints.{name}]\nbase_url = \"{url}\"\nmodel = \"{name}\"\napi_key_env = \"PLANTED_KEY\"\nstream = {stream}\n\
             requests_per_minute = 6000\nmax_attempts = 1\n\
             [[stages]]\nname = \"{name}\"\nkind = \"describe\"\nneeds = [\"parse\"]\nendpoint = \"{name}\"\n\
             prompt.user = \"Describe:\\n{{{{ code }}}}\"\non_failure.throttled.retry = 1\n",
        )
        .unwrap();
    }
    text
}

/// Rows of any table or view that hold the key, whatever the column.
async fn rows_with_key(site: &Site) -> Vec<String> {
    let tables: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm')",
    )
    .fetch_all(site.pool())
    .await
    .unwrap();
    assert!(tables.len() > 20, "{tables:?}");
    let mut found = Vec::new();
    for table in tables {
        let query = format!("select t::text from {table} t where t::text like '%{PART}%'");
        let rows: Vec<String> = sqlx::query_scalar(sqlx::AssertSqlSafe(query)).fetch_all(site.pool()).await.unwrap();
        found.extend(rows.into_iter().map(|row| format!("{table}: {row}")));
    }
    found
}

fn files_with_key(folder: &Path, found: &mut Vec<String>) -> usize {
    let mut looked_at = 0;
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            looked_at += files_with_key(&path, found);
        } else if let Ok(bytes) = std::fs::read(&path) {
            looked_at += 1;
            if String::from_utf8_lossy(&bytes).contains(PART) {
                found.push(path.display().to_string());
            }
        }
    }
    looked_at
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_key_that_the_server_echoes_in_every_way_is_nowhere_to_be_found() {
    let server = ScriptedServer::start(|question| {
        let (_, act) = WAYS.iter().find(|(name, _)| *name == question.model).unwrap();
        assert_eq!(question.key, KEY, "the key does reach the server");
        act(question)
    })
    .await;
    let site = Site::new().await;
    site.write("corpus/one/one.py", "def double(value):\n    result = value\n    result += value\n    return result\n");
    site.write("pipeline.toml", pipeline(&server.url));
    let run = async |arguments: &[&str]| -> Ended {
        let mut command = site.command(arguments);
        finish(command.env("PLANTED_KEY", KEY).env("CODEPMP_LOG", "trace").spawn().unwrap()).await
    };
    let mut outputs = vec![run(&["run", "pipeline.toml"]).await.with(1)];
    outputs.push(run(&["run", "pipeline.toml", "--json"]).await.with(1));
    for arguments in [
        &["status"][..],
        &["plan", "pipeline.toml", "--format", "json"],
        &["retry", "1", "--json"],
        &["run", "pipeline.toml", "--dry-run"],
        &["sql", "select * from llm_calls", "--format", "json"],
        &["sql", "select * from run_progress"],
    ] {
        outputs.push(run(arguments).await);
    }
    for (name, _) in WAYS {
        assert!(server.asked(name) > 0, "{name} was never asked");
    }
    for Ended { stdout, stderr, .. } in &outputs {
        let line = stdout.lines().chain(stderr.lines()).find(|line| line.contains(PART));
        assert_eq!(line, None);
    }
    let masked = "select count(*) from llm_calls where message like '%[key]%' or answer like '%[key]%'";
    assert!(site.number(masked).await >= 8, "what the server echoed is on record, without the key");
    assert!(outputs[0].stderr.contains("TRACE"), "the log is at its finest");
    assert_eq!(rows_with_key(&site).await, Vec::<String>::new());
    let mut found = Vec::new();
    assert!(files_with_key(&site.path(""), &mut found) >= 2);
    assert_eq!(found, Vec::<String>::new());
}

/// How a server of batches sends the key back.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
enum Echo {
    /// Not at all.
    #[default]
    Not,
    /// Refuses everything, by quoting it.
    Refuses,
    /// Replies with what is no JSON, but the key.
    Text,
    /// Names everything by the key.
    Names,
}

/// A server of batches that is in front of the simulator, and knows the key from each request.
#[derive(Clone)]
struct Front {
    simulator: String,
    client: reqwest::Client,
    echo: Arc<Mutex<Echo>>,
}

async fn front(
    State(front): State<Front>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, Vec<u8>) {
    let key = headers["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap().to_owned();
    assert_eq!(key, KEY, "the key does reach the server");
    let error = |message: &str| json!({"error": {"message": message, "code": key}}).to_string().into_bytes();
    match *front.echo.lock().unwrap() {
        Echo::Not => {}
        Echo::Refuses => return (StatusCode::UNAUTHORIZED, error(&format!("{}{key} is no key", "x".repeat(480)))),
        Echo::Text => return (StatusCode::OK, format!("<html>{key}").into_bytes()),
        Echo::Names => return (StatusCode::OK, json!({"id": key, "status": key}).to_string().into_bytes()),
    }
    let url = format!("{}{}", front.simulator, uri.path_and_query().unwrap());
    let mut request = front.client.request(method, url).body(body);
    if let Some(kind) = headers.get("content-type") {
        request = request.header("content-type", kind);
    }
    let reply = request.send().await.unwrap();
    let (status, body) = (reply.status(), reply.bytes().await.unwrap());
    let Ok(mut json) = serde_json::from_slice::<Value>(&body) else {
        // A file of results: each answer quotes the key.
        let text = String::from_utf8(body.to_vec()).unwrap();
        return (status, text.replace("\"content\":\"", &format!("\"content\":\"# {key}\\n")).into_bytes());
    };
    if json["object"] == "batch" {
        json["errors"] = json!({"data": [{"message": format!("wrong key {key}"), "code": key}]});
        json["metadata"] = json!({"key": key});
    }
    (status, json.to_string().into_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_planted_key_is_nowhere_to_be_found_after_batches_either() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/python");
    let corpus = fixtures.to_str().unwrap();
    let site = Site::new().await;
    let mut simulator = site.start(&["simulate", "--corpus", corpus, "--listen", "127.0.0.1:0"]);
    let mut first = String::new();
    let stdout = simulator.stdout.take().unwrap();
    tokio::io::AsyncBufReadExt::read_line(&mut tokio::io::BufReader::new(stdout), &mut first).await.unwrap();
    let simulator_url = first.trim().split(' ').next_back().unwrap().trim_end_matches("/v1").to_owned();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let state = Front { simulator: simulator_url, client, echo: Arc::default() };
    let echo = Arc::clone(&state.echo);
    let router = Router::new().fallback(front).with_state(state);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });

    let text = plain(&url, 4).replace("corpus/*", corpus);
    let model = "api_key_env = \"PLANTED_KEY\"\nbatch.max_requests = 40\nmodel = \"simulated-";
    site.write("pipeline.toml", text.replace("model = \"", model));
    let mut outputs = Vec::new();
    let mut run = async |code: i32, arguments: &[&str]| -> String {
        let mut command = site.command(arguments);
        let ended =
            finish(command.env("PLANTED_KEY", KEY).env("CODEPMP_LOG", "trace").spawn().unwrap()).await.with(code);
        let stdout = ended.stdout.clone();
        outputs.push(ended);
        stdout
    };
    run(0, &["run", "pipeline.toml", "--select", "ingest,filter,dedupe,parse,describe"]).await;
    let exported = run(0, &["batch", "export", "pipeline.toml", "--stage", "chosen", "--json"]).await;
    let exported: Value = serde_json::from_str(exported.trim()).unwrap();
    assert!(exported["files"].as_array().unwrap().len() > 1, "{exported}");
    let requests = std::fs::read(exported["files"][0][1].as_str().unwrap()).unwrap();
    for way in [Echo::Refuses, Echo::Text, Echo::Names] {
        *echo.lock().unwrap() = way;
        run(1, &["batch", "submit", "--json"]).await;
    }
    *echo.lock().unwrap() = Echo::Not;
    run(0, &["batch", "submit", "--json"]).await;
    for way in [Echo::Refuses, Echo::Text, Echo::Names] {
        *echo.lock().unwrap() = way;
        run(1, &["batch", "status", "--json"]).await;
        run(1, &["batch", "import", "--json"]).await;
    }
    *echo.lock().unwrap() = Echo::Not;
    run(0, &["batch", "status"]).await;
    run(0, &["batch", "status", "--json"]).await;
    // A file of the user's own, whose answers quote the key; he knows that one.
    let (answers, _) = results(&requests, &|_| Line::Answer(format!("```python\nkey = \"{KEY}\"\n```")));
    site.write("own.jsonl", answers);
    run(0, &["batch", "import", "--results", "own.jsonl", "--json"]).await;
    std::fs::remove_file(site.path("own.jsonl")).unwrap();
    run(0, &["batch", "import", "--json"]).await;
    run(0, &["status", "--json"]).await;
    run(0, &["sql", "select * from llm_calls", "--format", "json"]).await;
    run(0, &["sql", "select * from batches"]).await;
    simulator.kill().await.unwrap();

    for Ended { stdout, stderr, .. } in &outputs {
        let line = stdout.lines().chain(stderr.lines()).find(|line| line.contains(PART));
        assert_eq!(line, None);
    }
    assert!(outputs.iter().any(|ended| ended.stderr.contains("TRACE")), "the log is at its finest");
    let completions = site.number("select count(*) from completions where role = 'chosen'").await;
    assert!(completions > 40, "{completions}");
    assert_eq!(
        site.number("select count(*) from llm_calls where batch_id is not null and answer like '%[key]%'").await,
        completions
    );
    assert!(site.number("select count(*) from batches where message like '%[key]%'").await > 0);
    assert_eq!(rows_with_key(&site).await, Vec::<String>::new());
    let mut found = Vec::new();
    assert!(files_with_key(&site.path(""), &mut found) >= 4);
    assert_eq!(found, Vec::<String>::new());
}
