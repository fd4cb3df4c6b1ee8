#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::super::runs::NewRun;
use super::super::testing::TestDatabase;
use super::*;

async fn worker(store: &Store) -> super::super::lock::Worker {
    let new = NewRun {
        pipeline: "p".to_owned(),
        file: "p.toml".to_owned(),
        definition: String::new(),
        options: serde_json::json!({}),
    };
    let run = store.enter_run(&new, &[]).await.unwrap();
    store.enter_worker(run).await.unwrap()
}

fn asked(requests: i64, limit: u32) -> Asked {
    let want = Amount { requests, input: requests * 10, output: requests * 20 };
    let least = if requests > 0 { Amount { requests: 1, input: 10, output: 20 } } else { Amount::default() };
    Asked { per_minute: [Some(limit), None, None, None], want: Want::from((want, least)), ..Asked::default() }
}

/// What the slots of an account hold.
async fn booked(test: &TestDatabase) -> (i64, i64, i64) {
    let sums = "select sum(requests)::bigint, sum(input_tokens)::bigint, sum(output_tokens)::bigint from account_slots";
    sqlx::query_as(sums).fetch_one(test.pool()).await.unwrap()
}

#[tokio::test]
async fn many_that_ask_at_once_are_granted_no_more_than_there_is() {
    let test = TestDatabase::new().await;
    let store = Store::from(test.database.clone());
    store.enter_account("a").await.unwrap();
    store.enter_account("a").await.unwrap();
    let me = worker(&store).await;
    let grants = (0..8).map(|_| {
        let (store, id) = (store.clone(), me.id);
        tokio::spawn(async move {
            let mut sum = 0;
            for _ in 0..5 {
                sum += store.grant("a", id, &asked(3000, 3000)).await.unwrap().amount.requests;
            }
            sum
        })
    });
    let granted: i64 = futures::future::join_all(grants).await.into_iter().map(Result::unwrap).sum();
    // A second's worth at once, and what flowed in meanwhile.
    assert!((50..=3000).contains(&granted), "{granted}");
    assert_eq!(booked(&test).await.0, granted);
}

#[tokio::test]
async fn what_is_given_back_is_taken_off_its_slot() {
    let test = TestDatabase::new().await;
    let store = Store::from(test.database.clone());
    store.enter_account("a").await.unwrap();
    let me = worker(&store).await;
    let first = store.grant("a", me.id, &asked(5, 6000)).await.unwrap();
    assert_eq!(first.amount, Amount { requests: 5, input: 50, output: 100 });
    assert!(first.until > Instant::now() && first.until <= Instant::now() + books::VALID);
    assert_eq!(booked(&test).await, (5, 50, 100));
    let unused = vec![(first.slot, Amount { requests: 2, input: 20, output: 90 })];
    let back = Asked { unused, ..asked(0, 6000) };
    assert_eq!(store.grant("a", me.id, &back).await.unwrap().amount, Amount::default());
    assert_eq!(booked(&test).await, (3, 30, 10));
}

#[tokio::test]
async fn while_an_account_is_paused_nothing_is_granted_and_whoever_has_no_limits_hears_of_it() {
    let test = TestDatabase::new().await;
    let store = Store::from(test.database.clone());
    store.enter_account("a").await.unwrap();
    let me = worker(&store).await;
    let free = Asked::default();
    assert_eq!(store.grant("a", me.id, &free).await.unwrap().paused_until, None);
    store.pause_account("a", Duration::from_secs(300)).await.unwrap();
    store.pause_account("a", Duration::from_secs(100)).await.unwrap();
    for asked in [free.clone(), asked(5, 6000)] {
        let granted = store.grant("a", me.id, &asked).await.unwrap();
        assert_eq!(granted.amount, Amount::default());
        let left = granted.paused_until.unwrap() - Instant::now();
        assert!((200..=300).contains(&left.as_secs()), "the longer one counts: {left:?}");
    }
    sqlx::query("update accounts set paused_until = 0").execute(test.pool()).await.unwrap();
    assert_eq!(store.grant("a", me.id, &free).await.unwrap().paused_until, None);
    assert_eq!(store.grant("a", me.id, &asked(5, 6000)).await.unwrap().amount.requests, 5);
}

#[tokio::test]
async fn a_lease_ends_with_the_lock_of_its_worker() {
    let test = TestDatabase::new().await;
    let store = Store::from(test.database.clone());
    store.enter_account("a").await.unwrap();
    let (dying, living) = (worker(&store).await, worker(&store).await);
    let asked = Asked { concurrency: Some(10), calls: 10, ..Asked::default() };
    assert_eq!(store.grant("a", dying.id, &asked).await.unwrap().calls, 10);
    assert_eq!(store.grant("a", living.id, &asked).await.unwrap().calls, 0);
    drop(dying);
    // The server notices the closed connection in its own time.
    let freed = async {
        while store.grant("a", living.id, &asked).await.unwrap().calls < 10 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), freed).await.unwrap();
}
