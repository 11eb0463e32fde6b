//! What a file's name says about it: its media type, and whether it will ever change.
//!
//! Knows nothing about files' contents.

/// The media type for a name.
pub(super) fn media_type(name: &str) -> &'static str {
    match extension(name).to_ascii_lowercase().as_str() {
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "xml" => "text/xml; charset=utf-8",
        "txt" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "woff" => "font/woff",
        "ttf" => "font/ttf",
        "otf" => "font/otf",
        "wasm" => "application/wasm",
        "pdf" => "application/pdf",
        "zip" => "application/zip",
        "mp4" => "video/mp4",
        "webm" => "video/webm",
        "mp3" => "audio/mpeg",
        "ogg" => "audio/ogg",
        _ => "application/octet-stream",
    }
}

/// What is behind the last point of a name's last part.
pub(super) fn extension(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.').map_or("", |(_, extension)| extension)
}

/// Whether a name holds a hash of its contents, as bundlers write them: `main-4f3a9c1b.js`, `chunk.XJ4G5K2P.css`. A part of
/// eight characters or more that no word looks like: letters with a capital or two digits among them.
pub(super) fn is_hashed(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    let stem = stem.strip_suffix(".min").unwrap_or(stem);
    // `x.hash.js.map` too.
    let stem = stem.strip_suffix(".js").or(stem.strip_suffix(".css")).unwrap_or(stem);
    let Some(at) = stem.rfind(['-', '.']) else { return false };
    let part = &stem[at + 1..];
    let count = |is: fn(&u8) -> bool| part.bytes().filter(is).count();
    let letters = count(u8::is_ascii_alphabetic);
    let has_sign = count(u8::is_ascii_uppercase) > 0 || count(u8::is_ascii_digit) > 1;
    part.len() >= 8 && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && letters > 0 && has_sign
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_told_from_words() {
        for hashed in [
            "main-4f3a9c1b.js",
            "a/chunk.XJ4G5K2P.css",
            "index-BfD3xkLm.js",
            "x-5INURTSO.css.map",
            "a.0d1e2f3a4b.min.js",
        ] {
            assert!(is_hashed(hashed), "{hashed}");
        }
        for plain in [
            "main.js",
            "my-component.js",
            "theme-bootstrap5.css",
            "report-20240101.pdf",
            "a-b",
            "polyfills.js",
            "x-1234567.js",
        ] {
            assert!(!is_hashed(plain), "{plain}");
        }
    }

    #[test]
    fn types_are_by_extension() {
        assert_eq!(media_type("a/B.JS"), "text/javascript; charset=utf-8");
        assert_eq!(media_type("a.b/c"), "application/octet-stream");
    }
}
