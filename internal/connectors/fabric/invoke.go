package fabric

// Field numbers of the proposal that a transaction carries.
const (
	proposalInput   = 1 // of ChaincodeProposalPayload
	invocationSpec  = 1 // of ChaincodeInvocationSpec
	specChaincode   = 2 // of ChaincodeSpec
	specInput       = 3
	inputArgs       = 1 // of ChaincodeInput
	chaincodeIDName = 2
)

// spec finds the ChaincodeSpec of a transaction, nil when there is none that can be read: what the peer found invalid may be anything.
func (t *tx) spec() []byte {
	b, err := in(t.data).first(transactionActions).bytes(actionPayload).bytes(actionProposal).bytes(proposalInput).message(invocationSpec).get()
	if err != nil {
		return nil
	}
	return b
}

// invoked returns the chaincode that a transaction calls, and the function: its first argument.
func (t *tx) invoked() (chaincode, function string) {
	spec := t.spec()
	name, err := in(spec).message(specChaincode).bytes(chaincodeIDName).get()
	if err != nil {
		return "", ""
	}
	input, err := in(spec).message(specInput).get()
	if err != nil {
		return string(name), ""
	}
	f := fields{rest: input}
	for f.next() {
		if f.isBytes(inputArgs) {
			return string(name), string(f.bytes)
		}
	}
	return string(name), ""
}

// args returns the arguments of a call, the function first.
func (t *tx) args() [][]byte {
	input, err := in(t.spec()).message(specInput).get()
	if err != nil {
		return nil
	}
	args, err := elements(input) // arguments are the first field, too
	if err != nil {
		return nil
	}
	return args
}
