//! The header presets.
//!
//! They follow what browsers' makers and OWASP advise; a Content-Security-Policy depends on the site and is nobody
//! else's to guess.

use super::DefaultField;
use mainstay_model::Preset;

const fn field(name: &'static str, line: &'static [u8]) -> DefaultField {
    DefaultField { name, line, only_secure: false }
}

const fn secure(name: &'static str, line: &'static [u8]) -> DefaultField {
    DefaultField { name, line, only_secure: true }
}

pub(super) fn fields(preset: Preset) -> Vec<DefaultField> {
    let common = [
        field("x-content-type-options", b"X-Content-Type-Options: nosniff\r\n"),
        field("referrer-policy", b"Referrer-Policy: strict-origin-when-cross-origin\r\n"),
    ];
    let own = match preset {
        Preset::Strict => vec![
            // Two years and all subdomains: what the preload list asks for.
            secure(
                "strict-transport-security",
                b"Strict-Transport-Security: max-age=63072000; includeSubDomains; preload\r\n",
            ),
            field("x-frame-options", b"X-Frame-Options: DENY\r\n"),
            field(
                "permissions-policy",
                b"Permissions-Policy: camera=(), geolocation=(), microphone=(), usb=()\r\n",
            ),
            field("cross-origin-opener-policy", b"Cross-Origin-Opener-Policy: same-origin\r\n"),
            field("cross-origin-resource-policy", b"Cross-Origin-Resource-Policy: same-origin\r\n"),
        ],
        Preset::Compatible => vec![
            secure("strict-transport-security", b"Strict-Transport-Security: max-age=31536000\r\n"),
            field("x-frame-options", b"X-Frame-Options: SAMEORIGIN\r\n"),
        ],
    };
    own.into_iter().chain(common).collect()
}
