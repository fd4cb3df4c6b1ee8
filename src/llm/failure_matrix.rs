//! Every class of failure, against servers that misbehave on the wire: what the client did about it, and what it tells.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::fake_server::{FakeServer, Reply};
use super::*;

const KEY: &str = "sk-planted-0123456789abcdef";

fn good() -> Reply {
    let body = json!({
        "choices": [{"message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "total_tokens": 4}
    });
    Reply::Http(200, "", body.to_string())
}

fn answer(content: &str, finish_reason: &str) -> Reply {
    let body = json!({
        "choices": [{"message": {"content": content}, "finish_reason": finish_reason}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 9}
    });
    Reply::Http(200, "", body.to_string())
}

fn error(status: u16, code: &str) -> Reply {
    let message = format!("something is wrong with {KEY}");
    Reply::Http(status, "", json!({"error": {"message": message, "code": code}}).to_string())
}

/// Long enough for the busiest machine: only calls to a silent server ever wait for it.
const PATIENCE: Duration = Duration::from_secs(30);

fn client(base_url: &str) -> Client {
    client_with(EndpointSettings { max_attempts: 3, ..EndpointSettings::new(base_url, "m") }, PATIENCE)
}

fn client_with(settings: EndpointSettings, timeout: Duration) -> Client {
    Client::with_key(settings, &KEY.to_owned().into()).expect("right settings").hasty(timeout)
}

fn request() -> ChatRequest {
    ChatRequest {
        model: "m".into(),
        messages: vec![Message { role: Role::User, content: "hello".to_owned() }],
        sampling: Arc::default(),
        sample: 0,
    }
}

async fn call(script: Vec<Reply>) -> (Outcome, usize) {
    let timeout = if script.iter().any(|reply| matches!(reply, Reply::Silence)) { PATIENCE / 300 } else { PATIENCE };
    let server = FakeServer::start(script).await;
    let settings = EndpointSettings { max_attempts: 3, ..EndpointSettings::new(&server.base_url, "m") };
    let outcome = client_with(settings, timeout).call(&request(), &CancellationToken::new()).await;
    assert!(!format!("{outcome:?}").contains("planted"), "the key is in {outcome:?}");
    (outcome, server.requests())
}

async fn fails(reply: Reply, class: FailureClass, status: Option<u16>, sent: usize) -> Failure {
    let (outcome, requests) = call(vec![reply]).await;
    assert_eq!((requests, outcome.attempts.len()), (sent, sent), "{class}");
    for attempt in &outcome.attempts {
        assert_eq!((attempt.class, attempt.status), (Some(class), status));
        assert!(attempt.message.as_ref().is_some_and(|message| !message.is_empty()));
    }
    let CallResult::Failed(failure) = outcome.result else { panic!("{class}: {:?}", outcome.result) };
    assert_eq!((failure.class, failure.status), (class, status));
    failure
}

async fn recovers(reply: Reply, class: FailureClass) {
    let (outcome, requests) = call(vec![reply, good()]).await;
    assert_eq!(requests, 2);
    assert!(
        matches!(&outcome.result, CallResult::Answered(answer) if answer.text == "hi"),
        "{class}: {:?}",
        outcome.result
    );
    assert_eq!(outcome.attempts.iter().map(|attempt| attempt.class).collect::<Vec<_>>(), [Some(class), None]);
}

#[tokio::test]
async fn an_answer_comes_with_usage_and_one_attempt() {
    let (outcome, _) = call(vec![good()]).await;
    let usage = Usage { prompt_tokens: Some(3), completion_tokens: Some(1) };
    assert!(matches!(&outcome.result, CallResult::Answered(answer) if answer.usage == usage));
    let [attempt] = &outcome.attempts[..] else { panic!("{outcome:?}") };
    assert_eq!((attempt.class, attempt.status, attempt.usage), (None, Some(200), Some(usage)));
    assert_eq!(attempt.finish_reason.as_deref(), Some("stop"));
}

#[tokio::test]
async fn throttled_calls_are_waited_out() {
    fails(error(429, "rate_limit_exceeded"), FailureClass::Throttled, Some(429), 30).await;
    recovers(Reply::Http(429, "retry-after-ms: 1\r\n", String::new()), FailureClass::Throttled).await;
}

#[tokio::test]
async fn an_overloaded_server_is_asked_again() {
    fails(error(503, "overloaded"), FailureClass::Overloaded, Some(503), 3).await;
    recovers(Reply::Http(500, "", "<html>".to_owned()), FailureClass::Overloaded).await;
}

#[tokio::test]
async fn a_silent_server_times_out_and_is_asked_again() {
    fails(Reply::Silence, FailureClass::TimedOut, None, 3).await;
    recovers(error(504, "timeout"), FailureClass::TimedOut).await;
}

#[tokio::test]
async fn dropped_connections_are_made_again_and_in_the_end_stop_the_stage() {
    let failure = fails(Reply::Raw(""), FailureClass::Connection, None, 3).await;
    assert_eq!(failure.consequence(), Consequence::StopStage);
    recovers(Reply::Raw("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"choices\""), FailureClass::Connection).await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_connection_failure_that_names_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let client = client(&format!("http://{address}/v1"));
    let outcome = client.call(&request(), &CancellationToken::new()).await;
    let CallResult::Failed(failure) = outcome.result else { panic!("answered by nobody") };
    assert_eq!((failure.class, outcome.attempts.len()), (FailureClass::Connection, 3));
    assert!(failure.message.contains(&address.to_string()), "{failure}");
    assert_eq!(client.preflight().await.map_err(|failure| failure.class), Err(FailureClass::Connection));
}

#[tokio::test]
async fn a_cut_answer_is_final_and_keeps_text_and_usage() {
    let failure = fails(answer("def f(", "length"), FailureClass::Truncated, Some(200), 1).await;
    assert_eq!(failure.usage().and_then(Usage::total), Some(12));
    assert!(failure.answer.is_some_and(|answer| answer.text == "def f("));
}

#[tokio::test]
async fn a_filtered_answer_is_final() {
    fails(answer("", "content_filter"), FailureClass::Filtered, Some(200), 1).await;
    fails(error(400, "content_filter"), FailureClass::Filtered, Some(400), 1).await;
}

#[tokio::test]
async fn a_malformed_answer_is_asked_for_again() {
    fails(Reply::Http(200, "", "<html>".to_owned()), FailureClass::Malformed, Some(200), 3).await;
    recovers(Reply::Http(200, "", r#"{"choices": []}"#.to_owned()), FailureClass::Malformed).await;
}

#[tokio::test]
async fn an_endless_answer_is_cut_off_as_malformed() {
    recovers(Reply::Flood, FailureClass::Malformed).await;
}

#[tokio::test]
async fn an_empty_answer_is_asked_for_once_more() {
    fails(answer(" \n", "stop"), FailureClass::Empty, Some(200), 2).await;
    recovers(answer("", "stop"), FailureClass::Empty).await;
}

#[tokio::test]
async fn a_refusal_is_final() {
    let body = json!({"choices": [{"message": {"content": null, "refusal": "I cannot"}, "finish_reason": "stop"}]});
    let failure = fails(Reply::Http(200, "", body.to_string()), FailureClass::Refused, Some(200), 1).await;
    assert_eq!(failure.message, "I cannot");
}

#[tokio::test]
async fn a_bad_request_is_final_and_an_unknown_model_stops_the_stage() {
    for status in [400, 413, 422] {
        let failure = fails(error(status, "x"), FailureClass::BadRequest, Some(status), 1).await;
        assert_eq!(failure.consequence(), Consequence::RejectRow);
    }
    let failure = fails(error(404, "model_not_found"), FailureClass::BadRequest, Some(404), 1).await;
    assert_eq!(failure.consequence(), Consequence::StopStage);
    let moved = Reply::Http(308, "location: https://elsewhere/v1\r\n", String::new());
    let failure = fails(moved, FailureClass::BadRequest, Some(308), 1).await;
    assert!(failure.message.contains("https://elsewhere/v1"));
    assert_eq!(failure.consequence(), Consequence::StopStage);
}

#[tokio::test]
async fn a_wrong_key_stops_the_stage_at_once() {
    for status in [401, 403] {
        let failure = fails(error(status, "invalid_api_key"), FailureClass::Unauthorised, Some(status), 1).await;
        assert_eq!(failure.consequence(), Consequence::StopStage);
        assert!(failure.message.contains("something is wrong with [key]"));
    }
}

#[tokio::test]
async fn a_spent_account_stops_the_stage_at_once() {
    for (status, code) in [(402, "x"), (429, "insufficient_quota")] {
        let failure = fails(error(status, code), FailureClass::OutOfQuota, Some(status), 1).await;
        assert_eq!(failure.consequence(), Consequence::StopStage);
    }
}

#[tokio::test]
async fn a_retry_after_pauses_the_other_calls_too() {
    let server = FakeServer::start(vec![Reply::Http(429, "retry-after-ms: 120\r\n", String::new()), good()]).await;
    let client = client(&server.base_url);
    let begin = std::time::Instant::now();
    let throttled = client.call(&request(), &CancellationToken::new()).await;
    assert!(begin.elapsed() >= Duration::from_millis(120));
    assert_eq!(throttled.attempts[0].retry_after, Some(Duration::from_millis(120)));

    // With one slot, the second call is at the gate as soon as the first one has read its 429.
    let server = FakeServer::start(vec![Reply::Http(429, "retry-after: 600\r\n", String::new()), good()]).await;
    let client =
        client_with(EndpointSettings { concurrency: 1, ..EndpointSettings::new(&server.base_url, "m") }, PATIENCE);
    let cancel = CancellationToken::new();
    let both = async {
        let (one, other) = (request(), request());
        tokio::join!(client.call(&one, &cancel), client.call(&other, &cancel))
    };
    tokio::pin!(both);
    let early = tokio::time::timeout(Duration::from_millis(150), &mut both).await;
    assert!(early.is_err(), "answered in the pause: {early:?}");
    cancel.cancel();
    let (first, second) = both.await;
    assert_eq!((first.result, first.attempts.len()), (CallResult::Cancelled, 1));
    assert_eq!((second.result, second.attempts.len()), (CallResult::Cancelled, 0));
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn cancelling_stops_waits_but_not_a_request_that_was_sent() {
    let server = FakeServer::start(vec![good()]).await;
    let cancel = CancellationToken::new();
    let client = client(&server.base_url);
    let outcome = {
        let (request, mut polled) = (request(), false);
        let call = client.call(&request, &cancel);
        tokio::pin!(call);
        loop {
            tokio::select! {
                biased;
                outcome = &mut call => break outcome,
                // The call has written its request, or is about to, when it first waits for the network.
                () = tokio::task::yield_now(), if !polled => { polled = true; cancel.cancel(); }
            }
        }
    };
    assert!(matches!(outcome.result, CallResult::Answered(_)), "{outcome:?}");
    let outcome = client.call(&request(), &cancel).await;
    assert_eq!(outcome, Outcome { attempts: vec![], result: CallResult::Cancelled });
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn a_preflight_reads_the_list_of_models() {
    let server = FakeServer::start(vec![Reply::Http(200, "", r#"{"data": [{"id": "m"}]}"#.to_owned())]).await;
    assert_eq!(client(&server.base_url).preflight().await.map(|found| found.listed), Ok(Some(true)));
    let server = FakeServer::start(vec![error(401, "invalid_api_key")]).await;
    let failure = client(&server.base_url).preflight().await.expect_err("a wrong key");
    assert_eq!((failure.class, server.requests()), (FailureClass::Unauthorised, 1));
    assert!(!failure.message.contains("planted"));
}

#[test]
fn a_request_that_can_never_fit_is_refused_before_it_is_sent() {
    let settings = EndpointSettings { tokens_per_minute: Some(100), ..EndpointSettings::new("http://h", "m") };
    let error = Client::new(settings).and_then(|client| client.check_request(&request())).expect_err("too long");
    assert_eq!(error.key, "tokens_per_minute");
}

#[test]
fn a_client_shows_no_key() {
    assert!(!format!("{:?}", client("http://h/v1")).contains("planted"));
}

#[tokio::test]
async fn a_streamed_answer_is_put_together_and_its_first_piece_is_timed() {
    let piece = |delta: serde_json::Value, end: Option<&str>| {
        format!("data: {}\n\n", json!({"choices": [{"delta": delta, "finish_reason": end}]}))
    };
    let pieces = [
        piece(json!({"role": "assistant", "content": ""}), None),
        piece(json!({"content": "h"}), None),
        piece(json!({"content": "i"}), Some("stop")),
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n".to_owned(),
    ];
    let kind = "content-type: text/event-stream; charset=utf-8\r\n";
    let server = FakeServer::start(vec![Reply::Http(200, kind, pieces.concat())]).await;
    let settings = EndpointSettings { stream: true, ..EndpointSettings::new(&server.base_url, "m") };
    let outcome = client_with(settings.clone(), PATIENCE).call(&request(), &CancellationToken::new()).await;
    let CallResult::Answered(answer) = outcome.result else { panic!("{outcome:?}") };
    assert_eq!((answer.text.as_str(), answer.usage.total()), ("hi", Some(5)));
    assert!(outcome.attempts[0].first_token.is_some_and(|first| first <= outcome.attempts[0].latency));

    // A server that sends no stream although it was asked for one is fine.
    let server = FakeServer::start(vec![good()]).await;
    let settings = EndpointSettings { base_url: Some(server.base_url.clone()), ..settings };
    let outcome = client_with(settings, PATIENCE).call(&request(), &CancellationToken::new()).await;
    assert!(matches!(&outcome.result, CallResult::Answered(answer) if answer.text == "hi"), "{outcome:?}");
    assert_eq!(outcome.attempts[0].first_token, None);
}

#[tokio::test]
async fn calls_go_round_a_replica_that_hangs_up() {
    let (sick, well) = (FakeServer::start(vec![Reply::Raw("")]).await, FakeServer::start(vec![good()]).await);
    let urls = vec![sick.base_url.clone(), well.base_url.clone()];
    let settings = EndpointSettings { base_url: None, base_urls: urls, ..EndpointSettings::new("", "m") };
    let client = client_with(settings, PATIENCE);
    for _ in 0..20 {
        let outcome = client.call(&request(), &CancellationToken::new()).await;
        assert!(matches!(outcome.result, CallResult::Answered(_)), "{outcome:?}");
        assert!(outcome.attempts.len() <= 2, "a retry goes to the other one: {outcome:?}");
    }
    // Three failures and it rests; on a slow machine it may be probed once or twice.
    assert!((3..=5).contains(&sick.requests()), "{}", sick.requests());
    assert_eq!(well.requests(), 20);
    assert!(client.preflight().await.is_ok(), "one that is well is enough");
}

#[tokio::test]
async fn a_server_that_says_nothing_remains_is_not_asked_before_it_says_there_will_be() {
    let headers = "x-ratelimit-limit-requests: 60\r\nx-ratelimit-remaining-requests: 0\r\n\
                   x-ratelimit-reset-requests: 600s\r\n";
    let Reply::Http(status, _, body) = good() else { panic!("an answer") };
    let server = FakeServer::start(vec![Reply::Http(status, headers, body), good()]).await;
    let client = client(&server.base_url);
    let cancel = CancellationToken::new();
    assert!(matches!(client.call(&request(), &cancel).await.result, CallResult::Answered(_)));
    let next = request();
    let early = tokio::time::timeout(Duration::from_millis(150), client.call(&next, &cancel)).await;
    assert!(early.is_err(), "sent although nothing remained: {early:?}");
    assert_eq!(server.requests(), 1);
}
