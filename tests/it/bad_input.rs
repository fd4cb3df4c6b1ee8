//! Damaged and hostile input: each thing becomes one rejection with its class and path, and everything else goes on.

use std::io::{Cursor, Write as _};
use std::process::Stdio;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::corpus::module;
use crate::model::{ModelServer, well};
use crate::site::{Site, finish, pipeline};

/// A tar archive of files as they are named, with links as `(name, None)`.
fn tar(files: &[(&str, Option<&[u8]>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        // Set byte by byte: the builder would refuse a name that leaves the archive.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_mode(0o644);
        header.set_size(data.map_or(0, |data| data.len() as u64));
        if data.is_none() {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        builder.append(&header, data.unwrap_or_default()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, data) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(data).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damaged_file_is_rejected_with_class_and_path_and_the_rest_goes_on() {
    let server = ModelServer::start(Duration::from_millis(1), well).await;
    let site = Site::new().await;
    let good: Vec<String> = (0..8).map(|seed| module(500 + seed, 2)).collect();
    let text = |at: usize| good[at].as_bytes();

    let noise: Vec<u8> = (0..200_u32).flat_map(|n| *blake3::hash(&n.to_le_bytes()).as_bytes()).collect();
    let noise: String = noise.iter().fold(String::new(), |text, byte| text + &format!("x = {byte}\n"));
    let whole = gzip(&tar(&[("cut-1/first.py", Some(text(0))), ("cut-1/noise.py", Some(noise.as_bytes()))]));
    site.write("archives/cut-1.tar.gz", &whole[..whole.len() / 2]);
    site.write("archives/garbage-1.zip", b"PK\x03\x04 and then nothing that makes sense");
    site.write("archives/text-1.tar.gz", "this is no archive at all");
    site.write(
        "archives/hostile-1.tar.gz",
        gzip(&tar(&[
            ("../../escape.py", Some(text(1))),
            ("/absolute.py", Some(text(1))),
            ("hostile-1/link.py", None),
            ("hostile-1/fine.py", Some(text(2))),
        ])),
    );
    let zeros = vec![b' '; 30 << 20];
    let members = [("bomb-1/zeros.py", zeros.as_slice()), ("bomb-1/fine.py", text(3)), ("bomb-1/../../up.py", text(1))];
    site.write("archives/bomb-1.zip", zip(&members));
    site.write("rows/stack.jsonl", {
        let row = |at: usize| {
            serde_json::json!({"content": good[at], "max_stars_repo_name": "rows/one", "max_stars_repo_path": "row.py"})
        };
        format!("{}\n{{\"content\": \"cut\n{}\n", row(4), row(5))
    });
    site.write("corpus/folder/fine.py", text(6));
    site.write("corpus/folder/one_line.py", vec![b'a'; 3 << 20]);
    site.write("corpus/folder/latin.py", b"name = '\xe9\xe8'\n");
    site.write("corpus/folder/nul.py", b"name = '\0'\n");
    site.write("corpus/folder/empty.py", b"");
    site.write("corpus/folder/broken.ipynb", b"{\"cells\": [");
    let deep = format!("{}{}{}", "(lambda:\n".repeat(4000), "0", ")\n".repeat(4000));
    site.write("corpus/folder/deep.py", deep);
    let stairs: Vec<String> = (0..600).map(|depth| format!("{}if x:\n", " ".repeat(depth))).collect();
    site.write("corpus/folder/stairs.py", stairs.concat() + &" ".repeat(600) + "pass\n");
    let escape = site.path("corpus/folder/outside.py");
    std::os::unix::fs::symlink("/etc/passwd", escape).unwrap();

    let sources = "[[stages.sources]]\nkind = \"archive\"\npath = \"archives\"\n\n[[stages.sources]]\nkind = \"jsonl\"\n\
                   path = \"rows/*.jsonl\"\n\n[[stages]]\nname = \"filter\"";
    let pipeline = pipeline(&server.url, 8).replace("[[stages]]\nname = \"filter\"", sources);
    site.write("pipeline.toml", pipeline);
    site.run(&["run", "pipeline.toml"]).await.with(0);

    let rejected: Vec<(String, String, String)> = sqlx::query_as(
        "select j.class, j.path, j.message from rejections j join stages s on s.id = j.stage_id
         where s.kind = 'ingest' order by 1, 2",
    )
    .fetch_all(site.pool())
    .await
    .unwrap();
    let expected = [
        ("broken_line", "stack.jsonl"),
        ("broken_notebook", "broken.ipynb"),
        ("corrupt", "cut-1"),
        ("corrupt", "garbage-1.zip"),
        ("corrupt", "text-1.tar.gz"),
        ("empty", "empty.py"),
        ("invalid_utf8", "latin.py"),
        ("link", "link.py"),
        ("link", "outside.py"),
        ("nul_byte", "nul.py"),
        ("too_large", "one_line.py"),
        ("too_large", "zeros.py"),
        ("unsafe_path", "../../escape.py"),
        ("unsafe_path", "/absolute.py"),
        ("unsafe_path", "up.py"),
    ];
    for (class, path) in expected {
        let found = rejected.iter().filter(|row| row.0 == class && row.1.contains(path)).count();
        assert_eq!(found, 1, "{class} {path}: {rejected:#?}");
    }
    assert_eq!(rejected.len(), expected.len(), "{rejected:#?}");
    let line = rejected.iter().find(|row| row.0 == "broken_line").unwrap();
    assert!(line.2.contains("line 2"), "{line:?}");

    let nested: Vec<(String, String)> = sqlx::query_as(
        "select d.path, j.class from rejections j join documents d on d.id = j.document_id
         where d.path like '%deep.py' or d.path like '%stairs.py' order by 1",
    )
    .fetch_all(site.pool())
    .await
    .unwrap();
    let expected = [("deep.py", "parse_errors"), ("stairs.py", "long_mean_line")];
    assert_eq!(nested, expected.map(|(path, class)| (path.to_owned(), class.to_owned())));

    // Two functions from each good file: the first of the cut archive, and whatever stands beside the damaged ones.
    let paths = "select count(distinct d.path || d.repository) from snippets s join documents d on d.id = s.document_id
                 where d.path like '%fine.py' or d.path like '%first.py' or d.path like '%row.py'";
    assert_eq!(site.number(paths).await, 6 - 1);
    let snippets = site.number("select count(*) from snippets").await;
    assert_eq!(snippets, 12);
    assert_eq!(site.number("select count(*) from pairs").await, 2 * snippets);
    assert!(!std::path::Path::new("/absolute.py").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_and_files_that_may_not_be_read_are_rejected_and_the_rest_goes_on() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = ModelServer::start(Duration::from_millis(1), well).await;
    let site = Site::new().await;
    site.write("corpus/open/fine.py", module(600, 2));
    site.write("corpus/open/secret.py", module(601, 2));
    site.write("corpus/open/inner/hidden.py", module(602, 2));
    site.write("corpus/shut/hidden.py", module(603, 2));
    site.write("archives/shut-1.zip", zip(&[("shut.py", module(604, 2).as_bytes())]));
    site.write("archives/open-1.zip", zip(&[("open.py", module(605, 2).as_bytes())]));
    let shut = ["corpus/open/secret.py", "corpus/open/inner", "corpus/shut", "archives/shut-1.zip"];
    let permit = |mode| {
        for name in shut {
            std::fs::set_permissions(site.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
        }
    };
    let sources = "[[stages.sources]]\nkind = \"archive\"\npath = \"archives\"\n\n[[stages]]\nname = \"filter\"";
    site.write("pipeline.toml", pipeline(&server.url, 8).replace("[[stages]]\nname = \"filter\"", sources));

    // Root may read everything, unless it gives that up.
    let mut command = site.command(&["run", "pipeline.toml"]);
    if nix::unistd::geteuid().is_root() {
        let program = command.as_std();
        let mut without = tokio::process::Command::new("setpriv");
        without.arg("--bounding-set=-dac_override,-dac_read_search").arg(program.get_program());
        without.args(program.get_args()).current_dir(site.path(""));
        without.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
        without.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command = without;
    }
    permit(0o000);
    let ended = match command.spawn() {
        Ok(child) => finish(child).await,
        Err(error) => {
            permit(0o755);
            eprintln!("skipped: as root this takes setpriv, of util-linux: {error}");
            return;
        }
    };
    permit(0o755);
    ended.with(0);

    let rejected: Vec<(String, String, String)> = sqlx::query_as(
        "select j.path, j.class, j.message from rejections j join stages s on s.id = j.stage_id
         where s.kind = 'ingest' order by 1, 3",
    )
    .fetch_all(site.pool())
    .await
    .unwrap();
    let paths: Vec<&str> = rejected.iter().map(|(path, ..)| path.as_str()).collect();
    assert_eq!(paths, ["archives/shut-1.zip", "corpus/shut", "inner", "secret.py"], "{rejected:#?}");
    for (_, class, message) in &rejected {
        assert!(class == "unreadable" && message.contains("ermission denied"), "{rejected:#?}");
    }
    assert_eq!(site.number("select count(*) from documents").await, 2);
    assert_eq!(site.number("select count(*) from pairs").await, 2 * 2 * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_leads_nowhere_is_named() {
    let server = ModelServer::start(Duration::from_millis(1), well).await;
    let site = Site::new().await;
    site.write("pipeline.toml", pipeline(&server.url, 8).replace("corpus/*", "nowhere/*"));
    let ended = site.run(&["run", "pipeline.toml"]).await.with(1);
    assert!(ended.stderr.contains("nowhere/*") && ended.stderr.contains("stage `"), "{ended:?}");
}
