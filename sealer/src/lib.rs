//! Topic records in, hashed and chained Parquet segments out.
