use super::*;

const REQUEST: [u8; HEADER_LEN] =
    [0x47, 0x44, 0x01, 0x01, 0x00, 0x00, 0x01, 0x02, 0x80, 0, 0, 0, 0, 0, 0, 0x07];

fn with(at: usize, byte: u8) -> [u8; HEADER_LEN] {
    let mut bytes = REQUEST;
    bytes[at] = byte;
    bytes
}

#[test]
fn a_header_is_sixteen_bytes_in_network_order() {
    let header =
        Header { message_type: MessageType::Request, payload_len: 0x102, request_id: 0x8000_0000_0000_0007 };
    assert_eq!(header.encode(), REQUEST);
    assert_eq!(Header::decode(&REQUEST), Ok(header));
}

#[test]
fn every_type_byte_is_a_type_or_an_error_that_shows_it() {
    let known = [0x01, 0x02, 0x03, 0x04, 0x05, 0x10, 0x11, 0x12, 0x40, 0x41];
    for byte in 0..=u8::MAX {
        match Header::decode(&with(3, byte)) {
            Ok(header) => {
                assert!(known.contains(&byte), "{byte:#04x}");
                assert_eq!(header.message_type as u8, byte);
            }
            Err(error) => {
                assert!(!known.contains(&byte), "{byte:#04x}");
                assert!(error.to_string().contains(&format!("{byte:#04x}")), "{error}");
            }
        }
    }
}

#[test]
fn each_broken_field_is_named() {
    for (bytes, text, request_id) in [
        (with(0, b'X'), "frame starts with 0x58 0x44, expected the magic 0x47 0x44", 0),
        (with(2, 2), "protocol version 2 is not supported, expected 1", 0),
        (
            with(4, 0x05),
            "request 9223372036854775815: payload of 83886338 bytes exceeds the limit of 67108864 bytes",
            0x8000_0000_0000_0007,
        ),
        (
            with(3, 0x20),
            "request 9223372036854775815: message type 0x20 is unknown, expected 0x01 to 0x05 or 0x10 to 0x12",
            0x8000_0000_0000_0007,
        ),
    ] {
        let error = Header::decode(&bytes).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.request_id()), (text, request_id));
    }
}

#[test]
fn a_payload_of_exactly_the_limit_is_accepted() {
    let header = Header { message_type: MessageType::Chunk, payload_len: MAX_PAYLOAD_LEN, request_id: 1 };
    assert_eq!(Header::decode(&header.encode()), Ok(header));
    let over = Header { payload_len: MAX_PAYLOAD_LEN + 1, ..header };
    assert!(matches!(Header::decode(&over.encode()), Err(HeaderError::PayloadTooLarge { .. })));
}
