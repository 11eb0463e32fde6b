use crate::sandbox::Sandbox;

#[test]
fn help_is_asked_for_and_shown() {
    let sandbox = Sandbox::new("");
    let help = sandbox.run(&["--help"]).ok();
    for word in ["Deploy\n", "Look\n", "Act\n", "demo ", "--json"] {
        assert!(help.out.contains(word), "{word}: {}", help.out);
    }
    assert!(!help.out.contains('\x1b'), "no colours into a pipe");
    assert!(sandbox.run(&["up", "--help"]).ok().out.contains("--force-recreate"));
    assert_eq!(sandbox.run(&["--version"]).ok().out, format!("mainstay {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn without_a_command_it_is_an_error() {
    assert_eq!(Sandbox::new("").run(&[]).status, 2);
}

#[test]
fn a_mistyped_command_gets_a_suggestion() {
    let ran = Sandbox::new("").run(&["rolback"]);
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("rollback"), "{}", ran.err);
}

#[test]
fn what_only_compose_has_is_answered_with_a_way() {
    let ran = Sandbox::new("").run(&["publish"]);
    assert_eq!(ran.status, 2);
    assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
    assert!(ran.err.contains("docker-compose publish"), "{}", ran.err);
}

#[test]
fn completions_are_scripts() {
    for (shell, word) in [("bash", "complete -F"), ("zsh", "#compdef"), ("fish", "complete -c mainstay")] {
        let ran = Sandbox::new("").run(&["completions", shell]).ok();
        assert!(ran.out.contains(word), "{shell}");
    }
}
