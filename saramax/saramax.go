// Package saramax consumes and produces Kafka records with github.com/IBM/sarama so
// that every record is accounted for.
package saramax
