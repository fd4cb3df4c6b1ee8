//! Tables and views are a contract that people write SQL against: they are there, and every column says what it is.

use crate::site::Site;

const TABLES: [&str; 21] = [
    "runs",
    "run_stages",
    "documents",
    "snippets",
    "descriptions",
    "completions",
    "pairs",
    "llm_calls",
    "rejections",
    "training_runs",
    "training_metrics",
    "evaluations",
    "scorings",
    "evaluation_items",
    "curve_estimates",
    "curve_points",
    "contamination",
    "contamination_sets",
    "questions",
    "samples",
    "judgements",
];
const VIEWS: [&str; 13] = [
    "preference_pairs",
    "pair_lineage",
    "duplicates",
    "run_progress",
    "failures_by_class",
    "usage_by_model",
    "sample_efficiency",
    "scaling_curve",
    "curve_differences",
    "contaminated_pairs",
    "sample_lineage",
    "question_samples",
    "judge_agreement",
];

#[tokio::test(flavor = "multi_thread")]
async fn every_table_view_and_column_has_a_comment() {
    let site = Site::new().await;
    let silent: Vec<String> = sqlx::query_scalar(
        "select c.relname || coalesce('.' || a.attname, '')
         from pg_class c
         cross join lateral (select 0 as attnum, null::name as attname union all
                             select attnum, attname from pg_attribute where attrelid = c.oid and attnum > 0
                                 and not attisdropped and c.relkind in ('r', 'p')) a
         where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v', 'm')
           and c.relname <> '_sqlx_migrations'
           and coalesce(btrim(col_description(c.oid, a.attnum)),
                        case when a.attnum = 0 then btrim(obj_description(c.oid, 'pg_class')) end, '') = ''
         order by 1",
    )
    .fetch_all(site.pool())
    .await
    .unwrap();
    assert!(silent.is_empty(), "without a comment: {silent:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_and_views_of_the_contract_are_there() {
    let site = Site::new().await;
    for (names, kinds) in [(&TABLES[..], "rp"), (&VIEWS[..], "vm")] {
        for name in names {
            let kind: Option<String> =
                sqlx::query_scalar("select relkind::text from pg_class where oid = to_regclass($1)")
                    .bind(name)
                    .fetch_optional(site.pool())
                    .await
                    .unwrap();
            assert!(kind.as_ref().is_some_and(|kind| kinds.contains(kind.as_str())), "{name}: {kind:?}");
        }
    }
    for column in [
        "prompt",
        "chosen",
        "rejected",
        "chosen_model",
        "rejected_model",
        "repository",
        "path",
        "licence",
        "split",
        "chosen_valid",
        "rejected_valid",
        "length_ratio",
        "similarity",
    ] {
        let there =
            "select exists (select from pg_attribute where attrelid = 'preference_pairs'::regclass and attname = $1)";
        assert!(sqlx::query_scalar::<_, bool>(there).bind(column).fetch_one(site.pool()).await.unwrap(), "{column}");
    }
}
