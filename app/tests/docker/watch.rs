//! `watch`: what changes here is what is seen inside, by the rules of the file.

use crate::harness::{Site, until};
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

const STACK: &str = r#"services:
  web:
    build: .
    stop_signal: SIGKILL
    deploy: { replicas: 2 }
    develop:
      watch:
        - { path: ./src, action: sync, target: /app/src, ignore: ["*.log", "!keep.log", "deep/"], initial_sync: true }
        - { path: ./conf, action: sync+restart, target: /app/conf }
        - { path: ./hook, action: sync+exec, target: /app/hook, exec: { command: "sh -c 'cat /app/hook/word > /app/heard'" } }
        - { path: ./assets, action: sync, target: /app/assets, include: ["*.css"] }
        - { path: ./words, action: rebuild }
"#;

fn write(site: &Site, path: &str, text: &str) {
    let path = site.directory.path().join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}

fn lay_out(site: &Site) {
    let dockerfile = "FROM mainstay-test/busybox:1\nCOPY words /words\nRUN mkdir /app\nCMD [\"sh\", \"-c\", \
                      \"cat /app/conf/* > /app/started; exec sleep 1000\"]\n";
    write(site, "Dockerfile", dockerfile);
    write(site, ".dockerignore", "**/secret\n");
    for directory in ["conf", "hook", "assets"] {
        std::fs::create_dir_all(site.directory.path().join(directory)).unwrap();
    }
    write(site, "words", "first");
    write(site, "src/a.txt", "one");
    site.compose(STACK);
}

/// A watch that runs, told of by its own words.
struct Watching(Child);

impl Watching {
    /// Until it says that it watches; Compose says so on standard output.
    fn begin(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        let streams: [Box<dyn Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let tell = tell.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    // Its further words are read, so that they do not fill the pipe.
                    let _ = tell.send(line);
                }
            });
        }
        drop(tell);
        // From here on it ends with this.
        let watching = Self(child);
        let mut heard = String::new();
        loop {
            let line = told.recv().unwrap_or_else(|_| panic!("it ended: {heard}"));
            if line.contains("Watch enabled") || line.contains("watching for") {
                return watching;
            }
            heard.push_str(&line);
        }
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn inside(site: &Site, index: &str, script: &str) -> String {
    let output =
        site.command().args(["exec", "-T", "--index", index, "web", "sh", "-c", script]).output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn changes_of_sources_are_carried_into_every_instance(site: &mut Site) {
    lay_out(site);
    let mut command = site.command();
    command.arg("watch");
    let _watching = Watching::begin(command);
    assert_eq!(inside(site, "1", "cat /app/src/a.txt"), "one");

    write(site, "src/a.txt", "two");
    write(site, "src/new/b.txt", "b");
    for index in ["1", "2"] {
        until("it is copied", || inside(site, index, "cat /app/src/a.txt /app/src/new/b.txt") == "twob");
    }
    std::fs::remove_dir_all(site.directory.path().join("src/new")).unwrap();
    until("it is removed", || inside(site, "2", "ls /app/src") == "a.txt");

    let before = site.ok(&["ps", "-q"]);
    write(site, "conf/c", "setting");
    until("it was restarted", || inside(site, "1", "cat /app/started") == "setting");
    until("both run again", || site.ok(&["ps", "-q"]).lines().count() == 2);
    assert_eq!(inside(site, "1", "cat /app/src/a.txt"), "two", "what was copied stays");
    assert_eq!(site.ok(&["ps", "-q"]), before);

    write(site, "hook/word", "heard");
    until("the command ran", || inside(site, "2", "cat /app/heard") == "heard");

    write(site, "words", "second");
    until("it was built and deployed", || inside(site, "1", "cat /words") == "second");
}

fn what_counts_is_what_counts_for_compose(site: &mut Site) {
    lay_out(site);
    // Compose copies a directory that is new as a whole, with what is ignored in it; so all are there before.
    let directories = |site: &Site| {
        for path in ["src/deep/er", "src/sub", "assets"] {
            std::fs::create_dir_all(site.directory.path().join(path)).unwrap();
        }
    };
    directories(site);
    // Everything at once, and last the file whose arrival says that the rest was looked at.
    let change = |site: &Site| {
        for path in [
            "src/x.log",
            "src/keep.log",
            "src/deep/er/file",
            "src/sub/y.log",
            "src/sub/secret",
            "src/sub/file",
            "src/file~",
            "src/.a.swp",
            "assets/a.css",
            "assets/a.js",
        ] {
            write(site, path, "x");
        }
        write(site, "assets/z.css", "last");
    };
    let files = |site: &Site| {
        until("the last is there", || inside(site, "1", "cat /app/assets/z.css") == "last");
        inside(site, "1", "cd /app; find src assets -type f | sort")
    };
    site.ok(&["up", "--build"]);
    let mut command = site.command();
    command.args(["watch", "--no-up"]);
    let watching = Watching::begin(command);
    change(site);
    let ours = files(site);
    drop(watching);
    assert!(
        ours.contains("src/keep.log") && ours.contains("src/sub/file") && !ours.contains("secret"),
        "{ours}"
    );

    // Compose, on the same containers, made anew.
    site.ok(&["up", "--force-recreate"]);
    for directory in ["src", "assets"] {
        std::fs::remove_dir_all(site.directory.path().join(directory)).unwrap();
    }
    directories(site);
    write(site, "src/a.txt", "one");
    let mut compose = site.docker_compose_command(&["watch", "--no-up"]);
    // Where it writes which process watches a project. One that was killed stands there for good, and any process may get
    // its number later.
    let locks = tempfile::tempdir().unwrap();
    compose.env("XDG_RUNTIME_DIR", locks.path());
    let _watching = Watching::begin(compose);
    change(site);
    assert_eq!(files(site), ours);
}

crate::on_both_engines!(
    changes_of_sources_are_carried_into_every_instance,
    what_counts_is_what_counts_for_compose,
);
