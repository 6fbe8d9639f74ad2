//! What the API server says, for people.

/// What the API server said, without the record that it came in; else what
/// happened to the call.
#[must_use]
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::said;

    #[test]
    fn a_refusal_is_its_message_and_nothing_else() {
        let status = Status::failure("the range is full", "InternalError").with_code(500);
        assert_eq!(said(&kube::Error::Api(status.boxed())), "the range is full");
        let other = kube::Error::LinesCodecMaxLineLengthExceeded;
        assert_eq!(said(&other), other.to_string());
    }
}
