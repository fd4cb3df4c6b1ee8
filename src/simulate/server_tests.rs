#![allow(clippy::unwrap_used)]

use reqwest::Client;
use serde_json::Value;

use super::*;
use crate::simulate::{Index, Settings};

const SOURCE: &str = include_str!("../../fixtures/python/graphs.py");

struct Hosted {
    base: String,
    client: Client,
    simulator: Arc<Simulator>,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<std::io::Result<()>>,
}

async fn host(settings: Settings, key: Option<&str>) -> Hosted {
    let index = Index::from_sources(std::iter::once(("graphs.py".to_owned(), SOURCE.to_owned())));
    let mut simulator = Simulator::new(index, settings).unwrap();
    if let Some(key) = key {
        simulator = simulator.with_api_key(key.to_owned());
    }
    serving(simulator).await
}

async fn serving(simulator: Simulator) -> Hosted {
    let simulator = Arc::new(simulator);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let task = tokio::spawn(serve(listener, Arc::clone(&simulator), stop.clone()));
    // Another module's test may have installed it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = Client::builder().no_proxy().build().unwrap();
    Hosted { base, client, simulator, stop, task }
}

impl Hosted {
    async fn post(&self, body: &Value) -> reqwest::Result<reqwest::Response> {
        self.client.post(format!("{}/v1/chat/completions", self.base)).json(body).send().await
    }

    async fn get(&self, path: &str) -> Value {
        self.client.get(format!("{}{path}", self.base)).send().await.unwrap().json().await.unwrap()
    }
}

fn body(seed: i64) -> Value {
    let prompt = "Write a Python function `has_cycle(graph)` that tells it.";
    json!({"model": "simulated-strong", "messages": [{"role": "user", "content": prompt}], "seed": seed})
}

fn faults(kind: FaultKind, probability: f64) -> Settings {
    Settings { faults: [(kind, probability)].into(), ..Settings::default() }
}

#[tokio::test]
async fn a_completion_has_the_protocol_s_form_and_is_counted() {
    let hosted = host(Settings::default(), None).await;
    let response = hosted.post(&body(1)).await.unwrap();
    assert_eq!(response.status(), 200);
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["system_fingerprint"], "simulator");
    assert!(answer["choices"][0]["message"]["content"].as_str().unwrap().contains("def has_cycle"));
    assert!(answer["usage"]["total_tokens"].as_u64().unwrap() > 20);
    hosted.post(&body(1)).await.unwrap();
    hosted.post(&body(2)).await.unwrap();
    let stats = hosted.get("/stats").await;
    assert_eq!((&stats["requests"], &stats["answered"]), (&3.into(), &3.into()));
    assert_eq!(stats["per_key"].as_object().unwrap().len(), 2);
    assert_eq!(hosted.get("/v1/models").await["data"][1]["id"], "simulated-strong");
    hosted.stop.cancel();
    hosted.task.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_types_of_async_openai_read_the_answer_and_its_stream() {
    use async_openai::types::chat::{CreateChatCompletionResponse, CreateChatCompletionStreamResponse};
    let hosted = host(Settings::default(), None).await;
    let text = hosted.post(&body(1)).await.unwrap().text().await.unwrap();
    let whole: CreateChatCompletionResponse = serde_json::from_str(&text).unwrap();
    let mut request = body(1);
    request["stream"] = true.into();
    request["stream_options"] = json!({"include_usage": true});
    let events = hosted.post(&request).await.unwrap().text().await.unwrap();
    let mut lines: Vec<&str> = events.split("\n\n").filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.pop(), Some("data: [DONE]"));
    let chunks: Vec<CreateChatCompletionStreamResponse> =
        lines.iter().map(|line| serde_json::from_str(line.strip_prefix("data: ").unwrap()).unwrap()).collect();
    let pieces: String =
        chunks.iter().flat_map(|chunk| &chunk.choices).filter_map(|choice| choice.delta.content.clone()).collect();
    assert_eq!(Some(pieces), whole.choices[0].message.content);
    assert_eq!(chunks.last().unwrap().usage, whole.usage);
}

#[tokio::test]
async fn wrong_keys_unknown_models_and_broken_requests_are_told_apart() {
    let hosted = host(Settings::default(), Some("secret")).await;
    let denied = hosted.post(&body(1)).await.unwrap();
    assert_eq!(denied.status(), 401);
    let error: Value = denied.json().await.unwrap();
    assert_eq!(error["error"]["code"], "invalid_api_key");
    let url = format!("{}/v1/chat/completions", hosted.base);
    let send = |text: String| hosted.client.post(&url).bearer_auth("secret").body(text).send();
    assert_eq!(send(body(1).to_string()).await.unwrap().status(), 200);
    let unknown = send(r#"{"model":"gpt-4","messages":[{"role":"user","content":"x"}]}"#.into()).await.unwrap();
    assert_eq!(unknown.status(), 404);
    assert_eq!(unknown.json::<Value>().await.unwrap()["error"]["code"], "model_not_found");
    assert_eq!(send("{\"model\":".into()).await.unwrap().status(), 400);
}

#[tokio::test]
async fn limits_refuse_with_headers_that_say_when_to_come_back() {
    let settings = Settings { requests_per_minute: Some(3), tokens_per_minute: Some(100_000), ..Settings::default() };
    let hosted = host(settings, None).await;
    let header =
        |response: &reqwest::Response, name: &str| response.headers().get(name).unwrap().to_str().unwrap().to_owned();
    for n in 0..3 {
        let response = hosted.post(&body(n)).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(header(&response, "x-ratelimit-limit-requests"), "3");
        assert_eq!(header(&response, "x-ratelimit-remaining-requests"), (2 - n).to_string());
        assert!(header(&response, "x-ratelimit-remaining-tokens").parse::<u32>().unwrap() < 100_000);
        assert!(header(&response, "x-ratelimit-reset-requests").ends_with('s'));
    }
    let refused = hosted.post(&body(9)).await.unwrap();
    assert_eq!(refused.status(), 429);
    let seconds: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((50..=60).contains(&seconds), "{seconds}");
    let mut other = body(9);
    other["model"] = "simulated-weak".into();
    assert_eq!(hosted.post(&other).await.unwrap().status(), 200, "each model has limits of its own");
    let stats = hosted.simulator.stats();
    assert_eq!((stats.requests, stats.answered, stats.refused), (5, 4, 1));
}

#[tokio::test]
async fn transient_faults_pass_with_the_next_attempts_and_repeat_in_another_run() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let hosted = host(faults(FaultKind::Unavailable, 0.5), None).await;
        let mut codes = Vec::new();
        for _ in 0..12 {
            codes.push(hosted.post(&body(4)).await.unwrap().status().as_u16());
        }
        assert!(codes.contains(&200) && codes.contains(&503), "{codes:?}");
        runs.push(codes);
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test]
async fn injected_statuses_and_bodies_have_their_form() {
    let status = |kind| async move { host(faults(kind, 1.0), None).await.post(&body(1)).await.unwrap().status() };
    assert_eq!(status(FaultKind::InternalError).await, 500);
    assert_eq!(status(FaultKind::TooManyRequests).await, 429);
    let malformed = host(faults(FaultKind::Malformed, 1.0), None).await.post(&body(1)).await.unwrap();
    assert_eq!(malformed.status(), 200);
    assert!(serde_json::from_str::<Value>(&malformed.text().await.unwrap()).is_err());
    let dropped = host(faults(FaultKind::Drop, 1.0), None).await;
    let outcome = match dropped.post(&body(1)).await {
        Ok(response) => response.text().await,
        Err(error) => Err(error),
    };
    assert!(outcome.is_err());
    assert_eq!(dropped.simulator.stats().answered, 0);
}

#[tokio::test]
async fn a_hanging_request_ends_when_the_simulator_stops() {
    let hosted = host(faults(FaultKind::Timeout, 1.0), None).await;
    let simulator = Arc::clone(&hosted.simulator);
    let stop = hosted.stop.clone();
    let waiting = async {
        while simulator.stats().faults.is_empty() {
            tokio::task::yield_now().await;
        }
        stop.cancel();
    };
    let request = body(1);
    let (response, ()) = tokio::join!(hosted.post(&request), waiting);
    assert_eq!(response.unwrap().status(), 503);
    hosted.task.await.unwrap().unwrap();
}

#[test]
fn times_are_written_as_openai_does() {
    let words = |ms| in_words(Duration::from_millis(ms));
    assert_eq!([words(20), words(1500), words(60_000), words(61_250)], ["20ms", "1.5s", "1m0s", "1m1.25s"]);
}

#[tokio::test]
async fn the_log_has_a_line_for_every_request_and_its_fate() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let settings = Settings { requests_per_minute: Some(2), ..faults(FaultKind::InternalError, 0.5) };
    let index = Index::from_sources(std::iter::once(("graphs.py".to_owned(), SOURCE.to_owned())));
    let simulator = Simulator::new(index, settings).unwrap().with_log(file.reopen().unwrap());
    let hosted = serving(simulator).await;
    let mut statuses = Vec::new();
    for seed in 0..3 {
        statuses.push(hosted.post(&body(seed)).await.unwrap().status().as_u16());
    }
    let text = std::fs::read_to_string(file.path()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fates: Vec<&str> = lines.iter().map(|line| line["fate"].as_str().unwrap()).collect();
    let expected = statuses.iter().map(|status| match status {
        200 => "answered",
        500 => "failed",
        _ => "refused",
    });
    assert_eq!(fates, expected.collect::<Vec<_>>());
    assert_eq!(fates[2], "refused");
    for (line, fate) in lines.iter().zip(&fates) {
        assert_eq!(line["fault"] == "500", *fate == "failed");
        assert!(line["content"].as_str().unwrap().contains("def has_cycle") && line["tokens"].as_u64().unwrap() > 20);
        assert!(line["until"].as_f64().unwrap() >= line["at"].as_f64().unwrap());
    }
}
