//! Accounts of endpoints whose limits and pauses the database keeps, for all processes on it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use super::super::endpoints::Endpoint;
use crate::ids::WorkerId;
use crate::llm::{Ask, Grant, Keeper, KeeperError, Units};
use crate::store::Store;
use crate::store::accounts::Asked;
use crate::store::accounts::books::{Amount, Want};

/// The database as a keeper of limits.
struct DatabaseKeeper {
    store: Store,
    worker: WorkerId,
}

/// From now on keeps the limits and pauses of the endpoint's account together with all other processes; but for a simulator,
/// which is this process's own.
pub async fn share(endpoint: &Endpoint, store: &Store, worker: WorkerId) -> anyhow::Result<()> {
    let account = endpoint.client()?.account();
    if let Some(name) = endpoint.settings.account_name() {
        store.enter_account(&name).await?;
        account.share(&name, || Arc::new(DatabaseKeeper { store: store.clone(), worker }));
    }
    Ok(())
}

impl Keeper for DatabaseKeeper {
    fn ask<'k>(&'k self, account: &'k str, ask: Ask) -> BoxFuture<'k, Result<Grant, KeeperError>> {
        Box::pin(async move {
            let limits = ask.limits;
            let asked = Asked {
                per_minute: [limits.requests, limits.tokens, limits.input, limits.output],
                concurrency: limits.concurrency,
                want: Want {
                    booked: amount(ask.want),
                    expected: amount(ask.expected),
                    least: amount(ask.least),
                    free: amount(ask.free),
                },
                unused: ask.unused.into_iter().map(|(slot, unused)| (slot, amount(unused))).collect(),
                unexpected: amount(ask.unexpected),
                in_flight: ask.in_flight,
                calls: ask.calls,
            };
            let granted = self.store.grant(account, self.worker, &asked).await;
            let granted = granted.map_err(|error| KeeperError(error.to_string()))?;
            let Amount { requests, input, output } = granted.amount;
            Ok(Grant {
                slot: granted.slot,
                units: Units { requests, input, output },
                until: granted.until,
                calls: granted.calls,
                paused_until: granted.paused_until,
            })
        })
    }

    fn pause<'k>(&'k self, account: &'k str, wait: Duration) -> BoxFuture<'k, Result<(), KeeperError>> {
        Box::pin(async move {
            let paused = self.store.pause_account(account, wait).await;
            paused.map_err(|error| KeeperError(error.to_string()))
        })
    }
}

fn amount(units: Units) -> Amount {
    Amount { requests: units.requests, input: units.input, output: units.output }
}
