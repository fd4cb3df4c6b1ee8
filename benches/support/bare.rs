//! `async-openai`'s own client: nothing is claimed, committed, limited or retried. What this costs is the floor for a client
//! on the same libraries.

use std::time::Instant;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionRequestSystemMessageArgs, ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest,
    CreateChatCompletionRequestArgs,
};
use futures::StreamExt as _;

use super::{IN_FLIGHT, support};

/// Asks `count` times, with a number before the text, and prints a line of JSON for `benches/clients.py`.
pub async fn ask(url: &str, count: usize, system: &str, text: &str) -> support::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default(); // it wants one even without TLS
    let client = Client::with_config(OpenAIConfig::new().with_api_base(url).with_api_key("x"));
    let start = Instant::now();
    let calls = futures::stream::iter(0..count).map(|number| {
        let (client, request) = (client.clone(), request(system, format!("#{number} {text}")));
        tokio::spawn(async move {
            let reply = client.chat().create(request?).await?;
            Ok::<_, OpenAIError>(reply.choices.first().is_some_and(|choice| choice.message.content.is_some()))
        })
    });
    let answered = calls
        .buffer_unordered(IN_FLIGHT)
        .filter(|answer| std::future::ready(matches!(answer, Ok(Ok(true)))))
        .count()
        .await;
    let seconds = start.elapsed().as_secs_f64();
    support::say(serde_json::json!({ "answered": answered, "count": count, "seconds": seconds }))
}

fn request(system: &str, text: String) -> Result<CreateChatCompletionRequest, OpenAIError> {
    let system = ChatCompletionRequestSystemMessageArgs::default().content(system).build()?;
    let user = ChatCompletionRequestUserMessageArgs::default().content(text).build()?;
    CreateChatCompletionRequestArgs::default().model("fixed").messages(vec![system.into(), user.into()]).build()
}
