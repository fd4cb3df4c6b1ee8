//! `kill -9` at any moment costs nothing: the next run goes on, and the pairs are those of a run that was left alone.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgPool};
use tokio::process::Child;
use tokio::time::sleep;

use crate::corpus;
use crate::model::{Asked, ModelServer, references, shaky};
use crate::site::{Site, pipeline, watch};

const CONCURRENCY: u32 = 4;
const LATENCY: Duration = Duration::from_millis(20);

/// Calls that the three models may be asked at once.
const IN_FLIGHT: u32 = 3 * CONCURRENCY;

/// Connections of a program that is dead; the test's own have the test's name.
const CONNECTED: &str = "select count(*) from pg_stat_activity where datname = current_database()
    and application_name like 'codepmp/%' and application_name <> current_setting('application_name')";

/// When to kill.
#[derive(Clone, Debug)]
enum Moment {
    /// So many milliseconds after the start, wherever that is.
    After(u64),
    /// While a transaction is about to write to this table; the blocked statement is not the last of its transaction.
    Writing(&'static str),
    /// When the models have given so many answers since the start.
    Answers(u32),
    /// While the export stage writes its file.
    Exporting,
}

/// Moments in each stage, in an order in which they can all come about; `rng` decides when exactly.
fn moments(rng: &mut StdRng) -> Vec<Moment> {
    use Moment::{After, Answers, Exporting, Writing};
    let mut moments = vec![
        After(rng.random_range(0..120)),
        Writing("documents"),
        After(rng.random_range(100..400)),
        Writing("snippets"),
        Answers(rng.random_range(1..15)),
        Writing("descriptions"),
        After(rng.random_range(50..150)),
        Answers(rng.random_range(1..50)),
        Answers(rng.random_range(1..50)),
        Writing("completions"),
        Answers(rng.random_range(1..50)),
        Writing("pairs"),
        Writing("pairs"),
        Exporting,
        Exporting,
    ];
    if rng.random() {
        moments.insert(2, Writing("sketches"));
    }
    moments
}

async fn laid_out(server: &ModelServer) -> Site {
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 14);
    // Between the others, so that there is a commit of documents in the middle of the corpus.
    corpus::lay_bulk(&site.path("corpus/repository-4-tables"), 6);
    site.write("pipeline.toml", pipeline(&server.url, CONCURRENCY));
    site
}

/// Everything about the pairs but their numbers.
async fn pairs(pool: &PgPool) -> Vec<[String; 8]> {
    let mut rows: Vec<[String; 8]> = sqlx::query_scalar::<_, Vec<String>>(
        "select array[repository, path, qualified_name, sample::text, split, prompt, chosen, rejected]
         from preference_pairs",
    )
    .fetch_all(pool)
    .await
    .unwrap()
    .into_iter()
    .map(|row| row.try_into().unwrap())
    .collect();
    rows.sort();
    rows
}

/// Everything about standing rejections but their numbers.
async fn rejections(pool: &PgPool) -> Vec<(String, String, String, String)> {
    sqlx::query_as(
        "select s.name, j.class, coalesce(j.path, ''), coalesce(k.path, '') from rejections j
         join stages s on s.id = j.stage_id left join documents k on k.id = j.kept_document_id order by 1, 2, 3, 4",
    )
    .fetch_all(pool)
    .await
    .unwrap()
}

/// References of the requests whose answers are committed, with the number of rows that hold each.
async fn committed(pool: &PgPool) -> BTreeMap<String, u32> {
    let answers: Vec<String> =
        sqlx::query_scalar("select answer from llm_calls where class = 'ok'").fetch_all(pool).await.unwrap();
    let mut counts = BTreeMap::new();
    for answer in &answers {
        *counts.entry(references(answer).unwrap().to_owned()).or_default() += 1;
    }
    counts
}

/// References of what was asked between two looks at the server.
fn asked_since<'a>(
    before: &BTreeMap<String, Asked>,
    asked: &'a BTreeMap<String, Asked>,
) -> impl Iterator<Item = &'a String> {
    let requests = |reference: &String| before.get(reference).map_or(0, |asked| asked.requests);
    asked.iter().filter(move |(reference, asked)| asked.requests > requests(reference)).map(|(reference, _)| reference)
}

/// Kills the program at the moment; false if the program ended before it came.
async fn kill_at(site: &Site, server: &ModelServer, moment: &Moment, rng: &mut StdRng) -> bool {
    let start = || site.start(&["run", "pipeline.toml"]);
    let mut extra = Duration::from_micros(rng.random_range(0..8000));
    match moment {
        Moment::After(millis) => {
            extra = Duration::from_millis(*millis);
            kill(start(), extra).await
        }
        Moment::Answers(count) => {
            let until = server.answers() + count;
            let mut child = start();
            let came = watch(&mut child, async || server.answers() >= until).await;
            kill(child, extra).await && came
        }
        Moment::Writing(table) => {
            let mut blocker = site.pool().acquire().await.unwrap().detach();
            let mut transaction = blocker.begin().await.unwrap();
            let lock = format!("lock table {table} in share row exclusive mode");
            transaction.execute(AssertSqlSafe(lock)).await.unwrap();
            let mut child = start();
            let blocked = async || {
                let blocked = "select exists (select from pg_locks where relation = $1::regclass and not granted)";
                sqlx::query_scalar(blocked).bind(table).fetch_one(site.pool()).await.unwrap()
            };
            let came = watch(&mut child, blocked).await;
            let killed = kill(child, extra).await;
            transaction.rollback().await.unwrap();
            killed && came
        }
        Moment::Exporting => {
            // A pipe in place of the file holds the writer up once it is full.
            let pipe = site.path("out/train.jsonl.partial");
            std::fs::create_dir_all(site.path("out")).unwrap();
            let _ = std::fs::remove_file(&pipe);
            nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
            let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
            let mut reader = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(&pipe).unwrap();
            let mut child = start();
            let came = watch(&mut child, async || match reader.read(&mut [0; 512]) {
                Ok(count) => count > 0,
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            })
            .await;
            let killed = kill(child, extra).await;
            std::fs::remove_file(&pipe).unwrap();
            killed && came
        }
    }
}

/// Kills the program after `wait`; false if it ended before.
async fn kill(mut child: Child, wait: Duration) -> bool {
    sleep(wait).await;
    let running = child.try_wait().unwrap().is_none();
    child.kill().await.unwrap();
    running
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_that_is_killed_again_and_again_ends_with_the_same_pairs_and_pays_for_nothing_twice() {
    let server = ModelServer::start(LATENCY, shaky).await;
    let calm = laid_out(&server).await;
    let seconds = std::time::Instant::now();
    // Rows were rejected by no model: the files that the corpus stages reject do not count as failures.
    calm.run(&["run", "pipeline.toml"]).await.with(0);
    eprintln!("an uninterrupted run takes {:.1?}", seconds.elapsed());
    let (expected, expected_rejections) = (pairs(calm.pool()).await, rejections(calm.pool()).await);
    assert!(expected.len() > 150, "{} pairs", expected.len());
    for (reference, asked) in server.asked() {
        assert_eq!(asked.answers, 1, "in the uninterrupted run, {reference}: {asked:?}");
    }

    let (mut kills, mut hit) = (0, BTreeSet::new());
    for seed in [11, 12] {
        let server = ModelServer::start(LATENCY, shaky).await;
        let site = laid_out(&server).await;
        let mut rng = StdRng::seed_from_u64(seed);
        // For each request, in how many runs it was asked; and how many calls all kills together met in flight.
        let (mut runs, mut in_flight): (BTreeMap<String, u32>, u32) = (BTreeMap::new(), 0);
        let mut before: BTreeMap<String, Asked> = BTreeMap::new();
        let mut kept: Vec<(Moment, BTreeMap<String, Asked>)> = Vec::new();
        for moment in moments(&mut rng) {
            let seconds = std::time::Instant::now();
            let came = kill_at(&site, &server, &moment, &mut rng).await;
            assert!(came, "the program ended before {moment:?}");
            // What is committed by now must not be asked for again. The server may be at the dead program's last commit.
            while site.number(CONNECTED).await > 0 || server.open() > 0 {
                sleep(Duration::from_millis(5)).await;
            }
            let mut asked = server.asked();
            let committed = committed(site.pool()).await;
            // In flight is what this run has asked and not committed. What waits for its commit counts too, so that the
            // kill costs no more calls than may be asked at once.
            let lost =
                asked_since(&before, &asked).filter(|reference| !committed.contains_key(*reference)).count() as u32;
            assert!(lost <= IN_FLIGHT, "{lost} calls were in flight at {moment:?}, {IN_FLIGHT} may be");
            in_flight += lost;
            for reference in asked_since(&before, &asked) {
                *runs.entry(reference.clone()).or_default() += 1;
            }
            before.clone_from(&asked);
            asked.retain(|reference, _| committed.contains_key(reference));
            let at_work: Vec<String> = sqlx::query_scalar(
                "select distinct s.name from tasks t join stages s on s.id = t.stage_id where t.state = 'leased'",
            )
            .fetch_all(site.pool())
            .await
            .unwrap();
            eprintln!("{moment:?}: {:.1?}, {} committed, {lost} lost, {at_work:?}", seconds.elapsed(), asked.len());
            hit.extend(at_work);
            kept.push((moment, asked));
        }
        let seconds = std::time::Instant::now();
        site.run(&["run", "pipeline.toml"]).await.with(0);
        eprintln!("the last run: {:.1?}", seconds.elapsed());
        kills += kept.len();

        assert_eq!(pairs(site.pool()).await, expected, "seed {seed}");
        assert_eq!(rejections(site.pool()).await, expected_rejections, "seed {seed}");
        let asked = server.asked();
        for (moment, before) in &kept {
            for (reference, before) in before {
                assert_eq!(&asked[reference], before, "asked for again, although committed before {moment:?}");
            }
        }
        let committed = committed(site.pool()).await;
        assert!(committed.values().all(|count| *count == 1), "an answer is in the ledger twice");
        for reference in asked_since(&before, &asked) {
            *runs.entry(reference.clone()).or_default() += 1;
        }
        let repeated: u32 = runs.values().map(|runs| runs - 1).sum();
        eprintln!("{repeated} calls were repeated, {in_flight} were in flight at {} kills", kept.len());
        assert!(repeated <= in_flight, "{repeated} calls were repeated, {in_flight} were in flight");
        // Within a run, a request that was answered is not sent again.
        for (reference, asked) in &asked {
            assert!(asked.answers <= runs[reference], "{reference} in {} runs: {asked:?}", runs[reference]);
        }
        assert_eq!(site.number("select count(*) from tasks where state in ('ready', 'leased')").await, 0);
        let lines = |split: &str| site.read(&format!("out/{split}.jsonl")).lines().count();
        assert_eq!(lines("train") + lines("test"), expected.len());
    }
    assert!(kills >= 20, "{kills} kills");
    // The other stages have moments of their own.
    assert_eq!(
        hit.into_iter().collect::<Vec<_>>(),
        ["chosen", "describe", "rejected"],
        "no kill was while these asked"
    );
}
