//! Talks to chat models that speak the OpenAI protocol: hosted ones, vLLM, llama.cpp, and the simulator.
//!
//! A [`Client`] is made once per endpoint and shared. [`Client::call`] takes a [`ChatRequest`], waits for the endpoint's
//! limits, sends it to one of its replicas, retries what may be retried, and returns an [`Outcome`]: every attempt, and
//! the answer or the failure. It keeps nothing: the caller commits the outcome, with [`ChatRequest::request_key`] as the ledger's key.
//!
//! Invariants:
//! - A request is written only while its [`Account`] is not paused, and inside that account's limits, which a [`Keeper`]
//!   keeps for all processes; without one this process keeps them by itself. How far answers that grow longer than any
//!   before them may pass a limit by tokens, [`Booking`] says.
//! - Cancelling stops waits. A request that was written is read to its end, since its answer may have been paid for.
//! - The key is in the `authorization` header and nowhere else: not in messages, `Debug`, or answers.
//! - Nothing a server sends is trusted: bodies are bounded, messages shortened, waits capped.
//!
//! Left to others: storing (`store`), choosing rows and prompts' variables (`stages`), hosting the simulator.

mod account;
mod adaptive;
mod answer;
mod batch;
mod client;
mod clock;
mod endpoint;
mod estimate;
mod failure;
mod key;
mod learnt;
mod limiter;
mod local_limits;
mod outcome;
mod pace;
mod parts;
mod policy;
mod preflight;
mod price;
mod probe;
mod prompt;
mod replicas;
mod request;
mod response;
mod retry;
mod retry_after;
mod sampling;
mod server_error;
mod server_limits;
mod shared_limits;
mod slots;
mod stream;
mod tokens;
mod transport;
mod units;
mod wire;

#[cfg(test)]
mod failure_matrix;
#[cfg(test)]
mod fake_server;

pub use account::Account;
pub use answer::{Answer, FinishReason, Usage};
pub use batch::{BatchResult, BatchSettings, Batches, LineError, RemoteBatch, ResultReader, request_line};
pub use client::Client;
pub use endpoint::{EndpointSettings, SettingsError};
pub use estimate::{completion_tokens, most_tokens, prompt_tokens};
pub use failure::{Consequence, Failure, FailureClass, UnknownClass};
pub use learnt::Booking;
pub use outcome::{Attempt, CallResult, Outcome};
pub use policy::{FailurePolicies, Policy, Then, TruncatedPolicy};
pub use preflight::{Preflight, one_token};
pub use price::Prices;
pub use prompt::{Prompt, PromptError, PromptSettings};
pub use request::{ChatRequest, Message, Role};
pub use sampling::Sampling;
pub use shared_limits::{Ask, Grant, Keeper, KeeperError};
pub use units::{Limits, Units};
