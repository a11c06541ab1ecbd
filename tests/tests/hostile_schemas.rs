//! Uploaded schemas are programs. Whatever one does, it is refused in clear words, and nobody else notices.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read as _;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::api_client::{Answer, ApiClient, GroupClient};
use tests::eventually::eventually;
use tests::program::program;
use tests::server_process::{Log, ServerProcess};

/// How much the server may grow while it refuses what would take gigabytes, in KiB.
const GROWTH: u64 = 64 << 10;

/// Texts that attack while they are read.
const TEXTS: [(&str, &str); 38] = [
    ("unpacks more than counts", "return unpack({}, 0, 2147483647)"),
    (
        "unpacks below all counts",
        "return unpack({}, -2147483648, 2147483647)",
    ),
    (
        "multiplies by replacing",
        "return (('x'):rep(20000):gsub('.', ('y'):rep(1e6)))",
    ),
    (
        "multiplies by captures",
        "return (('x'):rep(1e6):gsub('(.+)', ('%1'):rep(1e5)))",
    ),
    ("repeats a text for ever", "return ('x'):rep(1e9)"),
    (
        "repeats a text again and again",
        "while true do local _ = ('x'):rep(1e6) end",
    ),
    ("doubles a text", "local s = 'x' while true do s = s .. s end"),
    (
        "copies a text again and again",
        "local s = ('x'):rep(1e6) while true do local _ = s .. s end",
    ),
    (
        "raises a text again and again",
        "local s = ('x'):rep(1e6) while true do s:upper() end",
    ),
    (
        "joins a list without end",
        "local t = {} for i = 1, 1e5 do t[i] = ('x'):rep(1e5) .. i end return table.concat(t)",
    ),
    (
        "fills a list without end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
    ),
    (
        "fills a list with lists",
        "local t = {} for i = 1, 1e9 do t[i] = { {}, {}, {} } end",
    ),
    (
        "inserts far before a list",
        "return table.insert({}, -2147483648, 1)",
    ),
    (
        "sorts without order",
        "local t = {} for i = 1, 1e5 do t[i] = i % 7 end while true do table.sort(t) end",
    ),
    ("calls itself", "local function f() return 1 + f() end return f()"),
    (
        "calls itself through the library",
        "local function f() return (('x'):gsub('x', f)) end return f()",
    ),
    (
        "calls itself by its metatable",
        "local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. 'x'] end return t.x",
    ),
    (
        "changes what all texts do",
        "getmetatable('').__index = function() while true do end end return ('x'):upper()",
    ),
    ("formats too wide", "return ('%99999999d'):format(1)"),
    ("formats too precise", "return ('%99.99999f'):format(1e308)"),
    (
        "looks back for ever",
        "return (('a'):rep(5000):find(('.-'):rep(30) .. 'b'))",
    ),
    (
        "looks back for ever by another name",
        "for _ in string.gfind(('a'):rep(5000), ('.-'):rep(30) .. 'b') do end",
    ),
    (
        "has a pattern without end",
        "return ('x'):find(('[%w%p]*'):rep(1e4))",
    ),
    (
        "searches again and again",
        "local s = ('a'):rep(1e5) while true do s:find('(a*)*b') end",
    ),
    (
        "finds nothing for ever",
        "local f = ('x'):rep(1e6):gmatch('') while true do f() end",
    ),
    ("reaches for its surroundings", "return getfenv(0)"),
    ("changes its surroundings", "return setfenv(1, {})"),
    ("loads text as code", "return loadstring('return {}')()"),
    (
        "loads what isn't text",
        "return load(function() return '\\27Lua' end)",
    ),
    ("writes itself as bytes", "return string.dump(function() end)"),
    ("loops for ever", "while true do end"),
    (
        "loops behind a guard",
        "while true do pcall(function() while true do end end) end",
    ),
    (
        "runs in another thread",
        "return coroutine.wrap(function() while true do end end)()",
    ),
    (
        "fails with a text that loops",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
    ),
    ("fails with a text without end", "error(('x'):rep(1e6))"),
    ("runs a program", "return os.execute('id')"),
    ("reads a file", "return io.open('/etc/passwd'):read('*a')"),
    ("holds itself", "local t = {} t.fields = t t.name = 'x' return t"),
];

/// Functions that attack when they judge a value. Each is the validator of the field with its number.
const FUNCTIONS: [(&str, &str); 12] = [
    ("unpacks more than counts", "return unpack({}, 0, 2147483647)"),
    (
        "multiplies by replacing",
        "return (('x'):rep(20000):gsub('.', ('y'):rep(1e6)))",
    ),
    ("loops for ever", "while true do end"),
    (
        "copies again and again",
        "local s = ('x'):rep(1e6) while true do local _ = s .. s end",
    ),
    (
        "fills a list without end",
        "local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e4) .. i end",
    ),
    (
        "calls itself",
        "local function f(v) return 1 + f(v) end return f(value)",
    ),
    (
        "fails with a table",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
    ),
    ("gives a reason without end", "return nil, ('x'):rep(1e6)"),
    ("gives no reason", "return nil, {}"),
    (
        "looks back for ever",
        "return (value:rep(5000):find(('.-'):rep(30) .. 'b'))",
    ),
    ("runs a program", "return os.execute(value)"),
    (
        "inserts far before a list",
        "return table.insert({}, -2147483648, value)",
    ),
];

const GREETER: &str = "return { name = 'greeter', fields = { { config = { type = 'record', fields = {
    { word = { type = 'string', custom_validator = function(word) return word ~= 'bye', 'no greeting' end } } } } } } }";

/// A server with a group of an attacker and one of somebody else, who has a plugin with a schema.
struct Scene {
    server: ServerProcess,
    attacker: GroupClient,
    viewer: ApiClient,
    neighbour: GroupClient,
}

impl Scene {
    async fn set() -> Self {
        let server = ServerProcess::start(Log::Sqlite).await;
        let api = server.api();
        for group in ["attacker", "neighbour"] {
            api.create_group(group).await;
        }
        let viewer = json!({ "name": "viewer", "role": "viewer", "group": "attacker" });
        let viewer = api.post("/v2/tokens", &viewer).await.expect_status(201).json();
        let viewer = api.with_token(viewer["token"].as_str().expect("a new token is shown once"));
        let neighbour = api.group("neighbour");
        neighbour
            .post("plugin-schemas", &json!({ "lua_schema": GREETER }))
            .await
            .expect_status(201);
        Self {
            attacker: api.group("attacker"),
            viewer,
            neighbour,
            server,
        }
    }

    /// The neighbour's plugin is judged as ever, by a function of its schema.
    async fn neighbour_is_served(&self) {
        let body = |word: &str| json!({ "name": "greeter", "config": { "word": word } });
        let fits = self.neighbour.post("schemas/plugins/validate", &body("hi")).await;
        assert_eq!(fits.status, 200, "{}", fits.text());
        let refused = self
            .neighbour
            .post("schemas/plugins/validate", &body("bye"))
            .await;
        assert_eq!(refused.status, 400, "{}", refused.text());
        assert!(refused.text().contains("no greeting"), "{}", refused.text());
    }

    /// The most memory that the server has held, in KiB.
    fn peak(&self) -> u64 {
        let peak = status(self.server.pid())["VmHWM"].clone();
        let digits = peak.trim_end_matches(" kB").trim();
        digits.parse().expect("a number of KiB")
    }

    /// The process for uploaded schemas that waits ready.
    async fn waiting_process(&self) -> u32 {
        let server = self.server.pid().to_string();
        eventually("a process for schemas waits", async || {
            let ready = |pid: &u32| {
                let status = status(*pid);
                status.get("PPid") == Some(&server) && status.get("Seccomp").is_some_and(|mode| mode == "2")
            };
            processes().into_iter().find(ready).ok_or("there is none")
        })
        .await
    }
}

fn refused(answer: &Answer, what: &str) {
    assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    let message = answer.json()["message"].as_str().unwrap_or_default().to_owned();
    assert!(message.starts_with("schema violation ("), "{what}: {message}");
    assert!(message.len() < 2_000, "{what}: a reason is short");
}

#[tokio::test]
async fn a_text_that_attacks_is_refused_and_nobody_else_notices() {
    let mut scene = Scene::set().await;
    scene.neighbour_is_served().await;
    let before = scene.peak();
    for (what, text) in TEXTS {
        let upload = json!({ "lua_schema": text });
        let (answer, ()) = tokio::join!(
            async { scene.attacker.post("plugin-schemas", &upload).await },
            scene.neighbour_is_served()
        );
        refused(&answer, what);
    }
    let grown = scene.peak() - before;
    assert!(grown < GROWTH, "the server has grown by {grown} KiB");
    assert_eq!(scene.attacker.version().await, 0, "nothing was changed");
    scene.server.process().must_run();
}

#[tokio::test]
async fn a_function_that_attacks_is_refused_whoever_has_it_run() {
    let mut scene = Scene::set().await;
    let field = |number: usize, code: &str| {
        format!("{{ f{number} = {{ type = 'string', custom_validator = function(value) {code} end }} }},")
    };
    let fields: String = FUNCTIONS
        .iter()
        .enumerate()
        .map(|(number, (_, code))| field(number, code))
        .collect();
    let text = format!(
        "return {{ name = 'trap', fields = {{ {{ config = {{ type = 'record', fields = {{ {fields} }} }} }} }} }}"
    );
    scene
        .attacker
        .post("plugin-schemas", &json!({ "lua_schema": text }))
        .await
        .expect_status(201);
    let (version, before) = (scene.attacker.version().await, scene.peak());
    let viewed = scene.viewer.group("attacker");
    for (number, (what, _)) in FUNCTIONS.iter().enumerate() {
        let field = format!("f{number}");
        let body = json!({ "name": "trap", "config": { field: "x" } });
        let (by_viewer, by_admin, ()) = tokio::join!(
            async { viewed.post("schemas/plugins/validate", &body).await },
            async { scene.attacker.post("plugins", &body).await },
            scene.neighbour_is_served()
        );
        refused(&by_viewer, what);
        refused(&by_admin, what);
        // What is applied and what is compared is decided in the same way.
        let file = json!({ "_format_version": "3.0", "plugins": [body] }).to_string();
        let applied = scene.attacker.apply(&file, "").await;
        assert_eq!(applied.status, 400, "{what}: {}", applied.text());
    }
    let grown = scene.peak() - before;
    assert!(grown < GROWTH, "the server has grown by {grown} KiB");
    assert_eq!(scene.attacker.version().await, version, "nothing was changed");
    scene.server.process().must_run();
}

#[tokio::test]
async fn the_process_for_schemas_holds_nothing_and_may_nothing() {
    let scene = Scene::set().await;
    let pid = scene.waiting_process().await;
    let status = status(pid);
    assert_eq!(status["NoNewPrivs"], "1");
    assert_eq!(status["Threads"], "1");
    // Not even its owner may look into it; who may sees nothing.
    if let Ok(environment) = fs::read(format!("/proc/{pid}/environ")) {
        assert_eq!(String::from_utf8_lossy(&environment), "");
    }
    if let Ok(files) = open_files(pid) {
        assert_eq!(files.keys().collect::<Vec<_>>(), [&0, &1, &2]);
        assert_eq!(files[&2], "/dev/null");
    }
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).expect("limits can be read");
    for limit in [
        "Max open files 0",
        "Max processes 0",
        "Max file size 0",
        "Max core file size 0",
    ] {
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            limits.lines().any(|line| words(line).starts_with(limit)),
            "{limit}: {limits}"
        );
    }
}

#[test]
fn it_closes_the_files_that_it_inherits() {
    let mut child = Command::new("sh")
        .args(["-c", "exec 8</etc/passwd 9>/dev/null; exec \"$0\" schema-sandbox"])
        .arg(program())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a shell starts");
    let mut said = [0; 4];
    let answers = child.stdout.as_mut().expect("its output is a pipe");
    answers.read_exact(&mut said).expect("it says that it is ready");
    if let Ok(files) = open_files(child.id()) {
        assert_eq!(files.keys().collect::<Vec<_>>(), [&0, &1, &2]);
    }
    drop(child.stdin.take());
    assert!(child.wait().expect("it ends with its input").success());
}

#[tokio::test]
async fn where_it_is_killed_while_it_waits_another_one_takes_its_place() {
    let scene = Scene::set().await;
    let pid = scene.waiting_process().await;
    let id = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    kill_process(id, Signal::KILL).expect("it is killed");
    scene.neighbour_is_served().await;
}

fn processes() -> Vec<u32> {
    let entries = fs::read_dir("/proc").expect("processes can be listed");
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.parse().ok()).collect()
}

/// What `/proc` says of a process; nothing where it has ended.
fn status(pid: u32) -> BTreeMap<String, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect()
}

fn open_files(pid: u32) -> std::io::Result<BTreeMap<u32, String>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        let entry = entry?;
        let target = fs::read_link(entry.path()).map(|target| target.display().to_string());
        let number = entry.file_name().to_string_lossy().parse().expect("a number");
        files.insert(number, target.unwrap_or_default());
    }
    Ok(files)
}

/// What a group's configuration is at a version is told without running any function.
#[tokio::test]
async fn a_plugin_with_functions_lives_through_a_restart_and_an_undo() {
    let mut scene = Scene::set().await;
    let body = |word: &str| json!({ "name": "greeter", "config": { "word": word } });
    let made: Value = scene
        .neighbour
        .post("plugins", &body("hi"))
        .await
        .expect_status(201)
        .json();
    let version = scene.neighbour.version().await;
    let plugin = format!("plugins/{}", made["id"].as_str().expect("an id"));
    scene
        .neighbour
        .patch(&plugin, &body("hello"))
        .await
        .expect_status(200);
    scene.server.restart().await;
    scene
        .neighbour
        .change("rollback", &json!({ "to": version }))
        .await
        .expect_status(200);
    let now = scene.neighbour.get(&plugin).await.expect_status(200).json();
    assert_eq!(now["config"]["word"], "hi");
    let refused = scene.neighbour.patch(&plugin, &body("bye")).await;
    assert_eq!(refused.status, 400, "{}", refused.text());
}
