package awstest

import "strings"

// PutSecret stores a secret under a name. Its ARN finds it as well.
func (s *Server) PutSecret(name, value string) (arn string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secrets[name] = value
	return secretARN + name + "-AbCdEf"
}

const secretARN = "arn:aws:secretsmanager:" + Region + ":" + Account + ":secret:"

func (s *Server) secret(id string) (any, *refusal) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := id
	if arn, ok := strings.CutPrefix(id, secretARN); ok {
		name = strings.TrimSuffix(arn, "-AbCdEf")
	}
	value, ok := s.secrets[name]
	if !ok {
		return nil, refuse("ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	return map[string]any{"ARN": secretARN + name + "-AbCdEf", "Name": name, "SecretString": value, "VersionId": "v1"}, nil
}
