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

const SYSTEM: &str = "You are a helpful coding assistant.";
const TEXT: &str = "Describe this function in one paragraph. ";

/// Asks `count` times, and prints a line of JSON for `benches/clients.py`, which asks the others the same.
pub async fn ask(url: &str, count: usize) -> support::Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default(); // it wants one even without TLS
    let client = Client::with_config(OpenAIConfig::new().with_api_base(url).with_api_key("x"));
    let text = TEXT.repeat(20);
    let start = Instant::now();
    let calls = futures::stream::iter(0..count).map(|number| {
        let (client, text) = (client.clone(), format!("#{number} {text}"));
        tokio::spawn(async move {
            let reply = client.chat().create(request(text)?).await?;
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

fn request(text: String) -> Result<CreateChatCompletionRequest, OpenAIError> {
    let system = ChatCompletionRequestSystemMessageArgs::default().content(SYSTEM).build()?;
    let user = ChatCompletionRequestUserMessageArgs::default().content(text).build()?;
    CreateChatCompletionRequestArgs::default().model("fixed").messages(vec![system.into(), user.into()]).build()
}
