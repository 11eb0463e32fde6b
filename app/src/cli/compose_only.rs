//! Commands of Compose that are not here, and what to use instead.

/// One line about what stands in for Compose's command `word`; `None` for a word that Compose does not know either.
pub fn instead(word: &str) -> Option<String> {
    let way = match word {
        "attach" => {
            "`mainstay logs -f SERVICE` shows its output, `mainstay exec SERVICE …` runs a command beside it"
        }
        "commit" | "export" => {
            "`docker commit` and `docker export` work on the containers that `mainstay ps -q` lists"
        }
        "cp" => {
            "`mainstay exec -T SERVICE tar -c PATH | tar -x` copies out of an instance; `docker cp` works, too"
        }
        "create" => "`mainstay plan` shows what would be made, `mainstay up` makes it",
        "images" => "`mainstay config --images` lists them",
        "kill" => "`mainstay stop -t 0 SERVICE` kills; `mainstay restart SERVICE` replaces an instance",
        "pause" | "unpause" => {
            "`docker pause` works on containers; `mainstay stop` and `mainstay start` on all services"
        }
        "port" => "`mainstay ps` shows what each service is reached by",
        "publish" | "push" => "`docker push` works on the images that `mainstay config --images` lists",
        "rm" => "`mainstay up` removes what the file no longer has, `mainstay down` everything",
        "scale" => "`mainstay up --scale SERVICE=N`, or `deploy: replicas:` in the file",
        "stats" => "`mainstay ps` shows CPU and memory",
        "top" => "`mainstay ps` shows CPU and memory, `mainstay exec SERVICE ps` the processes",
        "volumes" => "`mainstay config --volumes` lists them",
        "wait" => "`mainstay up` waits until everything is ready",
        "watch" => "there is no watch mode; `mainstay up --build` deploys a change without a gap",
        _ => return None,
    };
    Some(format!("`{word}` is a command of Compose that Mainstay does not have: {way}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_one_line_and_names_a_way() {
        for word in ["cp", "top", "port", "kill", "pause", "scale", "images", "rm", "wait", "watch", "push"] {
            let line = instead(word).unwrap();
            assert!(!line.contains('\n') && line.contains('`'), "{line}");
        }
        assert_eq!(instead("frobnicate"), None);
    }
}
