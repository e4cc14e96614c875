//! The processes of a gunmetal service.
