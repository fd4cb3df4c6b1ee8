//! A judge model says which side of a pair is better; the report tells how often it agrees with the label.

use std::time::Duration;

use serde_json::Value;

use crate::corpus;
use crate::model::{ModelServer, Question, Reply, answer};
use crate::site::{Site, pipeline};

/// [`pipeline`] with a judge; the server's strong answers add up, its weak ones take the largest.
fn judged(url: &str, settings: &str) -> String {
    let judge = format!(
        r#"
[endpoints.judge]
base_url = "{url}"
model = "judge"
concurrency = 8
preflight_completion = false

[[stages]]
name = "judge"
kind = "judge"
needs = ["pairs"]
endpoint = "judge"
{settings}
prompt.user = "Asked: {{{{ description }}}}\nA:\n{{{{ first }}}}\nB:\n{{{{ second }}}}\nWhich is better?"

[[stages]]
name = "report"
kind = "report"
needs = ["export", "judge"]
out = "page"
"#
    );
    pipeline(url, 8) + &judge
}

fn is_chosen_first(prompt: &str) -> bool {
    prompt.find("total = sum").unwrap() < prompt.find("total = max").unwrap()
}

/// Prefers the chosen side, but ties on one pair in ten, names the first on another, and says nothing on a third.
fn verdict(question: &Question) -> Reply {
    if question.model != "judge" {
        return Reply::Text(answer(question));
    }
    let right = if is_chosen_first(&question.prompt) { "A" } else { "B" };
    let said = match blake3::hash(question.reference.as_bytes()).as_bytes()[0] {
        0..25 => "Both do it.\ntie".to_owned(),
        25..50 => "Verdict: A".to_owned(),
        50..75 => "I cannot say.".to_owned(),
        _ => format!("This one adds up.\n\n**Verdict: {right}**"),
    };
    Reply::Text(said)
}

async fn site(settings: &str) -> (Site, ModelServer) {
    let server = ModelServer::start(Duration::from_millis(1), verdict).await;
    let site = Site::new().await;
    corpus::lay(&site.path("corpus"), 12);
    site.write("pipeline.toml", judged(&server.url, settings));
    (site, server)
}

fn report(site: &Site) -> Value {
    let told: Value = serde_json::from_str(&site.read("page/report.json")).unwrap();
    told["pairs"][0]["judges"][0].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn verdicts_are_kept_with_their_order_and_the_report_tells_agreement_ties_and_bias() {
    let (site, server) = site("sampling = { temperature = 0.0 }").await;
    // Verdicts that cannot be read are rejected rows.
    site.run(&["run", "pipeline.toml"]).await.with(1);
    let pairs = site.number("select count(*) from pairs").await;
    let verdicts = site.number("select count(*) from judgements").await;
    let unread = "select count(*) from rejections j join pairs p on p.id = j.pair_id
                  where j.class = 'no_verdict' and j.snippet_id is not null and j.document_id is not null";
    let unread = site.number(unread).await;
    assert!(unread > 3 && verdicts + unread == pairs, "{verdicts} and {unread} of {pairs}");
    // About half are shown swapped, and what was noted is what the model was shown.
    let swapped = site.number("select count(*) from judgements where not chosen_first").await;
    assert!(swapped * 3 > verdicts && swapped * 3 < verdicts * 2, "{swapped} of {verdicts}");
    let agrees = "select count(*) from judgements j join llm_calls c on c.id = j.call_id
                  where c.answer like '%adds up%' and not coalesce(j.agrees, false)";
    assert_eq!(site.number(agrees).await, 0, "a judge that always knows disagrees");
    let first = "select count(*) from judgements j join llm_calls c on c.id = j.call_id
                 where c.answer = 'Verdict: A' and j.agrees <> j.chosen_first";
    assert_eq!(site.number(first).await, 0);

    let told = report(&site);
    let value = |name: &str| told[name]["value"].as_f64().unwrap();
    let part = |numerator: &str| format!("select ({numerator})::float8 from judgements");
    for (name, query) in [
        ("agreement", "avg(agrees::int)"),
        ("ties", "avg((verdict = 'tie')::int)"),
        ("first_share", "avg((verdict = 'first')::int) filter (where verdict <> 'tie')"),
        ("agreement_chosen_first", "avg(agrees::int) filter (where chosen_first)"),
        ("agreement_chosen_second", "avg(agrees::int) filter (where not chosen_first)"),
    ] {
        let expected: f64 = sqlx::query_scalar(sqlx::AssertSqlSafe(part(query))).fetch_one(site.pool()).await.unwrap();
        assert!((value(name) - expected).abs() < 1e-9, "{name}: {told}");
        assert!(told[name]["low"].as_f64().unwrap() <= expected && expected <= told[name]["high"].as_f64().unwrap());
    }
    assert_eq!((told["failed"].as_i64(), value("agreement_chosen_first")), (Some(unread), 1.0), "{told}");
    assert!(value("agreement_chosen_second") < 1.0 && value("first_share") > 0.5, "{told}");
    let page = site.read("page/report.html");
    assert!(page.contains("agreement with judge") && page.contains("bias by position"), "{page}");
    site.run(&["export", "pipeline.toml", "--out", "again"]).await.with(0);
    let card = site.read("again/README.md");
    assert!(card.contains("| agreement with the judge model judge | 0."), "{card}");

    // Again is free; what was rejected can be asked again.
    let asked = server.requests();
    site.run(&["run", "pipeline.toml"]).await.with(1);
    assert_eq!(server.requests(), asked);
    server.follow(|_| Reply::Text("tie".to_owned()));
    site.run(&["retry", "1", "--class", "no_verdict"]).await.with(0);
    site.run(&["run", "pipeline.toml"]).await.with(0);
    assert_eq!(i64::from(server.requests() - asked), unread);
    assert_eq!(site.number("select count(*) from judgements").await, pairs);
}

/// Prompts of the pairs that were judged.
async fn judged_prompts(site: &Site) -> Vec<String> {
    let query = "select p.prompt || p.sample from judgements j join pairs p on p.id = j.pair_id order by 1";
    sqlx::query_scalar(query).fetch_all(site.pool()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_and_a_share_draw_the_same_pairs_in_every_database() {
    let steady = |url: &str, settings: &str| judged(url, settings);
    let well = |question: &Question| match question.model.as_str() {
        "judge" => Reply::Text("A".to_owned()),
        _ => Reply::Text(answer(question)),
    };
    let (one, server) = site("limit = 20").await;
    server.follow(well);
    let two = Site::new().await;
    corpus::lay(&two.path("corpus"), 12);
    two.write("pipeline.toml", steady(&server.url, "limit = 20"));
    // Before the run the estimate knows the limit.
    for site in [&one, &two] {
        site.run(&["run", "pipeline.toml", "--select", "ingest,filter,dedupe,parse,describe,chosen,rejected,pairs"])
            .await
            .with(0);
        let plan = site.run(&["plan", "pipeline.toml", "--format", "json"]).await.with(0);
        let plan: Value = serde_json::from_str(&plan.stdout).unwrap();
        let judge = plan["stages"].as_array().unwrap().iter().find(|stage| stage["name"] == "judge").unwrap();
        assert_eq!((&judge["estimate"]["calls"], &judge["estimate"]["prompts"]), (&20.into(), &"rows".into()));
        site.run(&["run", "pipeline.toml"]).await.with(0);
    }
    let drawn = judged_prompts(&one).await;
    assert_eq!(drawn.len(), 20);
    assert_eq!(judged_prompts(&two).await, drawn);
    // A judge that always says A agrees where the chosen side came first, and nowhere else.
    let told = report(&one);
    assert_eq!((&told["first_share"]["value"], &told["agreement_chosen_first"]["value"]), (&1.0.into(), &1.0.into()));
    assert_eq!(told["agreement_chosen_second"]["value"], 0.0);

    // A larger share has a smaller one's pairs.
    let mut shares = Vec::new();
    for share in ["0.2", "0.5"] {
        two.write("pipeline.toml", steady(&server.url, &format!("share = {share}")));
        two.run(&["run", "pipeline.toml"]).await.with(0);
        let query = "select p.prompt || p.sample from judgements j join pairs p on p.id = j.pair_id
                     where j.stage_id = (select max(stage_id) from judgements) order by 1";
        shares.push(sqlx::query_scalar::<_, String>(query).fetch_all(two.pool()).await.unwrap());
    }
    let pairs = two.number("select count(*) from pairs").await as usize;
    assert!(shares[0].iter().all(|prompt| shares[1].contains(prompt)) && shares[0].len() < shares[1].len());
    assert!(shares[1].len() * 10 > pairs * 3 && shares[1].len() * 10 < pairs * 7, "{} of {pairs}", shares[1].len());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_judged_is_refused_with_what_is_allowed() {
    let site = Site::new().await;
    let right = judged("http://127.0.0.1:1/v1", "limit = 20");
    site.write("right.toml", &right);
    site.run(&["validate", "right.toml"]).await.with(0);
    let mistakes = [
        ("{{ first }}", "{{ chosen }}", "unknown variable `chosen`; allowed: prompt, description, first, second"),
        ("limit = 20", "limit = 0", "limit: is 0"),
        ("limit = 20", "share = 1.5", "a share lies above 0 and up to 1"),
        ("limit = 20", "samples = 2", "samples"),
        ("kind = \"judge\"\nneeds = [\"pairs\"]", "kind = \"judge\"\nneeds = [\"chosen\"]", "allowed: pair"),
        ("endpoint = \"judge\"", "endpoint = \"judges\"", "there is no endpoint `judges`"),
    ];
    for (old, new, says) in mistakes {
        site.write("wrong.toml", right.replacen(old, new, 1));
        let ended = site.run(&["validate", "wrong.toml"]).await.with(2);
        assert!(ended.stderr.contains(says), "{new}: not {says:?} in {}", ended.stderr);
    }
}
