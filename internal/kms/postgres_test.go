package kms_test

import (
	"context"
	"testing"

	"vigil/internal/store"
	"vigil/internal/store/postgres"
	"vigil/internal/store/sqlite"
	"vigil/internal/store/storetest"
)

// No statement of the service is SQLite's alone: the tests that run each of them pass on PostgreSQL too.
func TestPostgreSQL(t *testing.T) {
	sqlitePlace := place
	place = func(t testing.TB) string { return storetest.Postgres(t) }
	openPlace = func(url string) (store.DB, error) { return postgres.Open(context.Background(), url, "vigil") }
	defer func() { place, openPlace = sqlitePlace, sqlite.Open }()
	for _, test := range []struct {
		name string
		run  func(*testing.T)
	}{
		{"CreateKeyDefaults", TestCreateKeyDefaults},
		{"MaterialIsStoredWrapped", TestMaterialIsStoredWrapped},
		{"EncryptAndDecrypt", TestEncryptAndDecrypt},
		{"KeyStates", TestKeyStates},
		{"Aliases", TestAliases},
		{"FiftyAliasesAKey", TestFiftyAliasesAKey},
		{"OneAliasIsMadeOnce", TestOneAliasIsMadeOnce},
		{"Tags", TestTags},
		{"TagsRefuse", TestTagsRefuse},
		{"KeyPolicies", TestKeyPolicies},
		{"ListsPageByPage", TestListsPageByPage},
		{"KeysAreDestroyedWhenTheirWindowHasPassed", TestKeysAreDestroyedWhenTheirWindowHasPassed},
		{"AutomaticRotation", TestAutomaticRotation},
		{"RotationAcrossARestart", TestRotationAcrossARestart},
		{"RotateKeyOnDemandConflicts", TestRotateKeyOnDemandConflicts},
		{"RotationOfImportedMaterial", TestRotationOfImportedMaterial},
		{"ImportedMaterialExpires", TestImportedMaterialExpires},
		{"ImportedMultiRegionKeys", TestImportedMultiRegionKeys},
		{"MultiRegionKeysAreInteroperable", TestMultiRegionKeysAreInteroperable},
		{"UpdatePrimaryRegion", TestUpdatePrimaryRegion},
		{"DeletionOfMultiRegionKeys", TestDeletionOfMultiRegionKeys},
		{"ManagedKeys", TestManagedKeys},
		{"EverythingIsThereAfterARestart", TestEverythingIsThereAfterARestart},
		{"GrantNamesAndTokens", TestGrantNamesAndTokens},
		{"GrantsAreListed", TestGrantsAreListed},
		{"WhoRetiresGrants", TestWhoRetiresGrants},
		{"OneReadsOnesOwnWrites", TestOneReadsOnesOwnWrites},
		{"CustomKeyStores", TestCustomKeyStores},
		{"CreateCustomKeyStoreRefuses", TestCreateCustomKeyStoreRefuses},
		{"ConnectingIsInterrupted", TestConnectingIsInterrupted},
		{"UpdateCustomKeyStore", TestUpdateCustomKeyStore},
		{"AKeyInAnExternalKeyStore", TestAKeyInAnExternalKeyStore},
		{"CreateKeyInAKeyStoreRefuses", TestCreateKeyInAKeyStoreRefuses},
		{"KeysAreUnavailableWhileTheirStoreIsNotConnected", TestKeysAreUnavailableWhileTheirStoreIsNotConnected},
	} {
		t.Run(test.name, test.run)
	}
}
