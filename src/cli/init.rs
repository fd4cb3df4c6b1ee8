//! `init`: a fresh model, with a tokenizer learned from a corpus.

use super::output::outln;
use std::path::Path;

use anyhow::Context as _;
use serde_json::json;
use tokio::task::spawn_blocking;

use super::Exit;
use super::args::InitArgs;
use super::table::number;
use crate::nn::Parameter;
use crate::stages::read_corpus;
use crate::train::fresh;

/// Text that a vocabulary is learned from, at most: more changes it little.
const MOST_BYTES: usize = 128 << 20;

/// `codepmp init`
pub async fn init(args: InitArgs) -> anyhow::Result<Exit> {
    spawn_blocking(move || {
        let texts = read(&args.corpus)?;
        let bytes: usize = texts.iter().map(String::len).sum();
        let tokenizer = fresh::learn(texts.into_iter(), args.vocab.unwrap_or_else(|| args.preset.vocab_size()))?;
        let config = fresh::create(args.preset, &tokenizer, args.seed, &args.out)?;
        let parameters: usize = config.parameters().iter().map(Parameter::elements).sum();
        if args.json {
            outln!(
                "{}",
                json!({ "event": "model", "out": args.out, "parameters": parameters, "vocabulary": config.vocab_size,
                        "layers": config.num_layers, "hidden": config.hidden_size, "corpus_bytes": bytes })
            );
        } else {
            outln!(
                "{}: {} parameters, {} tokens learned from {} bytes of source",
                args.out.display(),
                number(parameters as i64),
                number(config.vocab_size as i64),
                number(bytes as i64)
            );
        }
        Ok(Exit::Done)
    })
    .await?
}

fn read(corpus: &[String]) -> anyhow::Result<Vec<String>> {
    let mut texts = Vec::new();
    let mut room = MOST_BYTES;
    for path in corpus {
        let mut keep = |_, text: String| {
            room = room.saturating_sub(text.len());
            texts.push(text);
            room > 0
        };
        read_corpus(path, Path::new(""), &mut keep).with_context(|| format!("reading the corpus {path}"))?;
    }
    Ok(texts)
}
