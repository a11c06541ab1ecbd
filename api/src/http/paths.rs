//! Paths as clients write them: doubled and trailing slashes mean nothing (`deck-go-kong.md` §1.1).

use axum::extract::Request;
use axum::http::Uri;

/// The request with its path in the form the routes have.
pub(crate) fn normalized(mut request: Request) -> Request {
    let path = request.uri().path();
    if let Some(path) = without_empty_segments(path) {
        let whole = match request.uri().query() {
            Some(query) => format!("{path}?{query}"),
            None => path,
        };
        if let Ok(uri) = whole.parse::<Uri>() {
            *request.uri_mut() = uri;
        }
    }
    request
}

/// None if the path has none.
fn without_empty_segments(path: &str) -> Option<String> {
    let clean = !path.contains("//") && (path.len() == 1 || !path.ends_with('/'));
    if clean {
        return None;
    }
    let segments: Vec<_> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    Some(format!("/{}", segments.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_segments_mean_nothing() {
        assert_eq!(without_empty_segments("/v2/x"), None);
        assert_eq!(without_empty_segments("/"), None);
        assert_eq!(without_empty_segments("//v2//x/").as_deref(), Some("/v2/x"));
    }
}
