//! Endpoints and simulators of a pipeline: declared, checked, and brought up for a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::resolve;
use crate::corpus::{self, Entry, Format, Source, SourceKind};
use crate::llm::{Account, Client, EndpointSettings, Limits};
use crate::simulate::{self, Index, Simulator};

pub use crate::simulate::Settings as SimulatorSettings;

/// An endpoint, and its client once the run has started.
#[derive(Debug)]
pub struct Endpoint {
    /// Name in the pipeline file.
    pub name: String,
    /// Its settings.
    pub settings: EndpointSettings,
    /// The limits of its account, as all its endpoints state them.
    pub limits: Limits,
    client: OnceLock<Client>,
    /// What the server says of its context.
    context: OnceLock<Option<u32>>,
}

impl Endpoint {
    /// Tokens that prompt and answer may have together, where that is known.
    pub fn context_tokens(&self) -> Option<u32> {
        self.settings.context_tokens.or_else(|| *self.context.get()?)
    }

    /// The client.
    ///
    /// # Errors
    /// If the run did not bring the endpoint up.
    pub fn client(&self) -> anyhow::Result<&Client> {
        self.client.get().with_context(|| format!("endpoint `{}` was not started", self.name))
    }
}

/// Endpoints by name.
pub type Endpoints = BTreeMap<String, Arc<Endpoint>>;

impl Endpoint {
    /// A declared endpoint.
    pub fn new(name: String, settings: EndpointSettings, limits: Limits) -> Arc<Self> {
        Arc::new(Self { name, settings, limits, client: OnceLock::new(), context: OnceLock::new() })
    }
}

/// The simulators that a run hosts; they stop when this is dropped.
pub struct Services {
    stop: CancellationToken,
}

impl Drop for Services {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Services {
    /// Starts the simulators that `used` endpoints name, makes the clients, and makes one cheap call to each endpoint.
    ///
    /// # Errors
    /// A missing key, an endpoint that is down or refuses the key: whatever would fail every row.
    pub async fn start(
        used: &[Arc<Endpoint>],
        simulators: &BTreeMap<String, SimulatorSettings>,
        base: &Path,
    ) -> anyhow::Result<Self> {
        let services = Self { stop: CancellationToken::new() };
        let mut hosted: BTreeMap<&str, String> = BTreeMap::new();
        let mut accounts: BTreeMap<String, Arc<Account>> = BTreeMap::new();
        for endpoint in used {
            let settings = match &endpoint.settings.simulator {
                None => endpoint.settings.clone(),
                Some(name) => {
                    if !hosted.contains_key(name.as_str()) {
                        let url = services.host(name, &simulators[name], base).await?;
                        hosted.insert(name, url);
                    }
                    endpoint.settings.at(hosted[name.as_str()].clone())
                }
            };
            let describe = || format!("endpoint `{}`", endpoint.name);
            let new = || Account::new(endpoint.limits);
            let account = match endpoint.settings.account_name() {
                Some(name) => Arc::clone(accounts.entry(name).or_insert_with(new)),
                None => new(),
            };
            let client = Client::of_account(settings, account).with_context(describe)?;
            let found = client.preflight().await.map_err(|failure| {
                let url = client.settings().urls().join(", ");
                anyhow::anyhow!("endpoint `{}` at {url}: {failure}", endpoint.name)
            })?;
            if found.listed == Some(false) {
                let models = found.models.unwrap_or_default().join(", ");
                bail!(
                    "endpoint `{}` does not have the model `{}`; it has: {models}",
                    endpoint.name,
                    endpoint.settings.model
                );
            }
            let _ = endpoint.context.set(found.context_tokens);
            let _ = endpoint.client.set(client);
        }
        Ok(services)
    }

    async fn host(&self, name: &str, settings: &SimulatorSettings, base: &Path) -> anyhow::Result<String> {
        let simulator = Arc::new(build_simulator(settings.clone(), base.to_owned()).await?);
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the simulator found no free port")?;
        let url = format!("http://{}/v1", listener.local_addr()?);
        tracing::info!("simulator `{name}` answers at {url}; it is no model");
        let stop = self.stop.clone();
        tokio::spawn(async move {
            if let Err(error) = simulate::serve(listener, simulator, stop).await {
                tracing::error!("the simulator ended: {error}");
            }
        });
        Ok(url)
    }
}

/// Reads the simulator's corpus; paths are relative to `base`.
///
/// # Errors
/// When the settings are wrong, or a path leads nowhere.
pub async fn build_simulator(settings: SimulatorSettings, base: PathBuf) -> anyhow::Result<Simulator> {
    settings.check()?;
    tokio::task::spawn_blocking(move || {
        let mut files = Vec::new();
        for path in &settings.corpus {
            let mut keep = |path, content| {
                files.push((path, content));
                true
            };
            read_corpus(path, &base, &mut keep).with_context(|| format!("the simulator's corpus {path}"))?;
        }
        Ok(Simulator::new(Index::from_sources(files.into_iter()), settings)?)
    })
    .await?
}

/// Hands path and text of every Python file at `path` (a folder, an archive, a folder of archives, JSONL, a single
/// file) to `each`, until that says false; what cannot be read is left out, as the pipeline reports it for itself.
///
/// # Errors
/// When the path leads nowhere.
pub fn read_corpus(path: &str, base: &Path, each: &mut dyn FnMut(String, String) -> bool) -> anyhow::Result<()> {
    let full = resolve(base, path);
    if full.is_file() && full.extension().is_some_and(|end| end == "py") {
        each(path.to_owned(), std::fs::read_to_string(&full)?);
        return Ok(());
    }
    let holds_archives = full.is_dir()
        && std::fs::read_dir(&full)?.flatten().any(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            [".whl", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst"].iter().any(|end| name.ends_with(end))
        });
    let kind = match Format::of(&full, SourceKind::Jsonl) {
        Some(_) if full.is_file() => SourceKind::Jsonl,
        _ if full.is_dir() && !holds_archives => SourceKind::Dir,
        _ => SourceKind::Archive,
    };
    let source = Source::new(kind, path);
    for shard in corpus::shards(&source, base)? {
        let survey = shard.survey(&source);
        for entry in shard.read(&source, &survey, 0)? {
            if let Entry::Document(document) = entry
                && !each(document.path, document.content)
            {
                return Ok(());
            }
        }
    }
    Ok(())
}
