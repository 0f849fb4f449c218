package member

import "fmt"

// ErrorName is Kafka's own name of an error code, as far as group members and transactional producers meet it.
func ErrorName(code int) string {
	name, known := map[int]string{
		15: "COORDINATOR_NOT_AVAILABLE", 16: "NOT_COORDINATOR", 22: "ILLEGAL_GENERATION", 25: "UNKNOWN_MEMBER_ID",
		27: "REBALANCE_IN_PROGRESS", 47: "INVALID_PRODUCER_EPOCH", 48: "INVALID_TXN_STATE", 51: "CONCURRENT_TRANSACTIONS",
		82: "FENCED_INSTANCE_ID", 90: "PRODUCER_FENCED", 110: "FENCED_MEMBER_EPOCH", 113: "STALE_MEMBER_EPOCH",
	}[code]
	if !known {
		return fmt.Sprintf("error %d", code)
	}
	return name
}
