package service

import "context"

// CheckReadable returns nil for an article that everybody can read, or what its reader
// would be answered.
func (s *Articles) CheckReadable(ctx context.Context, id int64) error {
	_, err := s.repo.Published(ctx, id)
	return readers(err)
}
