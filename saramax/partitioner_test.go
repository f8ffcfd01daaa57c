package saramax_test

import (
	"hash/crc32"
	"hash/fnv"
	"testing"

	"github.com/IBM/sarama"
	"github.com/stretchr/testify/require"

	"github.com/bulwark-go/bulwark/saramax"
)

func choose(t *testing.T, p sarama.Partitioner, key []byte, partitions int32) int32 {
	t.Helper()
	m := &sarama.ProducerMessage{Topic: "t"}
	if key != nil {
		m.Key = sarama.ByteEncoder(key)
	}
	choice, err := p.Partition(m, partitions)
	require.NoError(t, err)
	return choice
}

// The hashes are those of the tests of Kafka's client in Java, read there as signed
// numbers of 32 bits.
func TestMurmur2ChoosesWhatJavaChooses(t *testing.T) {
	vectors := map[string]int32{
		"21":                         -973932308,
		"foobar":                     -790332482,
		"a-little-bit-long-string":   -985981536,
		"a-little-bit-longer-string": -1486304829,
		"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
		"abc": 479470107,
	}
	p := saramax.Murmur2("t")
	for key, hash := range vectors {
		for _, partitions := range []int32{1, 2, 3, 12, 100, 1000, 1<<31 - 1} {
			want := (hash & 0x7fffffff) % partitions
			require.Equal(t, want, choose(t, p, []byte(key), partitions), "%q of %d", key, partitions)
		}
	}
	require.Equal(t, choose(t, p, []byte{}, 1000), choose(t, p, []byte{}, 1000), "an empty key is a key")
}

func TestHashAndCRCChooseWhatTheirClientsChoose(t *testing.T) {
	for _, key := range []string{"", "a", "abc", "foobar", "\xff\xfe"} {
		f := fnv.New32a()
		_, _ = f.Write([]byte(key))
		want := int32(f.Sum32()) % 7
		if want < 0 {
			want = -want
		}
		require.Equal(t, want, choose(t, saramax.Hash("t"), []byte(key), 7))
		require.Equal(t, int32(crc32.ChecksumIEEE([]byte(key))%7), choose(t, saramax.ConsistentCRC("t"), []byte(key), 7))
	}
}

func TestKeylessRecordsAreSpread(t *testing.T) {
	for name, p := range map[string]sarama.PartitionerConstructor{
		"murmur2": saramax.Murmur2, "hash": saramax.Hash, "crc": saramax.ConsistentCRC, "random": saramax.Random, "round-robin": saramax.RoundRobin,
	} {
		counts := make([]int, 4)
		one := p("t")
		for range 4000 {
			counts[choose(t, one, nil, 4)]++
		}
		for _, n := range counts {
			require.InDelta(t, 1000, n, 200, name) // six standard deviations are 164
		}
	}
}

func TestRoundRobinTakesTurns(t *testing.T) {
	p := saramax.RoundRobin("t")
	for i := range int32(10) {
		require.Equal(t, i%3, choose(t, p, []byte("same"), 3))
	}
}

func TestManualRefusesWhoNamesNoPartition(t *testing.T) {
	_, err := saramax.Manual("t").Partition(&sarama.ProducerMessage{}, 3)
	require.ErrorIs(t, err, saramax.ErrNoPartition)
	require.True(t, saramax.Manual("t").RequiresConsistency())
}
